/** A place in the shape of MaxMind's City databases, whatever database it comes from: what plugins know how to read. */
export interface CityRecord {
  readonly country?: { readonly iso_code?: string; readonly names?: { readonly en?: string } };
  readonly city?: { readonly names?: { readonly en?: string } };
  readonly [field: string]: unknown;
}

/** Answers where an IP address is, from a database in memory that may be replaced at any moment. */
export interface GeoIp {
  /** Null when the database says nothing of the address, or it is none. @throws GeoIpError */
  locate(ip: string): CityRecord | null;
  /** Whether there is a database. */
  ready(): boolean;
  /** Why the newest database was not taken; undefined when it was, or there is none. */
  refusal(): string | undefined;
  /** Ends the watching. */
  close(): void;
}

/** Where a database comes from. Asked again and again, so `version` is cheap. */
export interface GeoIpSource {
  /** For log lines and messages. */
  readonly name: string;
  /** Differs when the bytes differ; undefined when there is nothing. */
  version(): Promise<string | undefined>;
  /** The bytes of an MMDB file. */
  read(): Promise<Buffer>;
}

export class GeoIpError extends Error {
  /** 'not-ready': no database. 'unreadable': it is damaged, at least where this address leads. */
  readonly code: 'not-ready' | 'unreadable';
  constructor(code: GeoIpError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'GeoIpError';
    this.code = code;
  }
}
