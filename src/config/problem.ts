/** A value that cannot be used, told so that it can be put right without reading the source. */
export interface Problem {
  /** The variable, or several joined by ' + ' when a rule over them is broken. */
  readonly name: string;
  /** As given; masked when it is a secret. Undefined when it is missing. */
  readonly value: string | undefined;
  /** The text itself could not be read as what it has to be; otherwise the value is understood, and cannot stand beside others. */
  readonly isUnreadable?: true;
  /** Where it stands in the configuration file: `troupe.yaml:12`. */
  readonly place?: string;
  readonly allowed: string;
  readonly todo: string;
}
