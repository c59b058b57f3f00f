/** A token of the admin server, and who has it. */
export interface AdminToken {
  /** For the audit log. */
  readonly name: string;
  readonly secret: string;
}

const MIN_CHARACTERS = 16;

/** Reads `TROUPE_ADMIN_TOKEN`: `name:token` parts, or one token alone, whose name is `admin`. Undefined when it is none of that. */
export function parseAdminTokens(parts: readonly string[]): readonly AdminToken[] | undefined {
  const tokens = parts.map((part): AdminToken => {
    const at = part.indexOf(':');
    return at < 0 ? { name: 'admin', secret: part } : { name: part.slice(0, at), secret: part.slice(at + 1) };
  });
  const names = new Set(tokens.map(({ name }) => name));
  const isRight = tokens.every(
    ({ name, secret }) => /^[\w.-]{1,64}$/.test(name) && /^[\x21-\x7e]+$/.test(secret) && secret.length >= MIN_CHARACTERS,
  );
  return isRight && names.size === tokens.length ? tokens : undefined;
}
