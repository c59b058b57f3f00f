/** Keys as `id:secret`; undefined when one is not. An id is a label of metrics; a secret is no word that somebody guesses. */
export function parseSigningKeys(pairs: readonly string[]): readonly { readonly id: string; readonly secret: string }[] | undefined {
  const keys = pairs.flatMap((pair) => {
    const [, id, secret] = KEY.exec(pair) ?? [];
    return id === undefined || secret === undefined ? [] : [{ id, secret }];
  });
  return keys.length === pairs.length && new Set(keys.map(({ id }) => id)).size === keys.length ? keys : undefined;
}
const KEY = /^([\w-]{1,32}):(.{16,})$/;
