import { ADDRESS_PARTS } from './compose-addresses.ts';
import { defaultOf } from './describe.ts';
import { allowedOf } from './parse-setting.ts';
import { RULES } from './rules.ts';
import { ALL_SETTINGS, SECTION_PROSE, type SectionName } from './schema.ts';
import type { Setting } from './setting.ts';
import { WITHOUT_EFFECT } from './without-effect.ts';

/** docs/configuration.md, from the table of settings. */
export function configurationDoc(): string {
  const sections = Object.keys(SECTION_PROSE) as SectionName[];
  return `# Configuration

<!-- Generated from src/config/schema.ts by \`npm run docs\`. Do not edit. -->

Settings are environment variables, or keys of a file. PostHog's names are kept where PostHog has one; Troupe's own are \`TROUPE_<ROOM>_<NAME>_<UNIT>\`.

- \`--config FILE\`, or \`TROUPE_CONFIG_FILE\`, names a file, YAML or JSON: sections as below, in them settings by their keys (\`body_bytes\` and \`BodyBytes\` are \`bodyBytes\`). Section \`server\` also takes the keys of \`capture\`, and \`plugins\` may be the list of capture's plugins. \`deploy/troupe.yaml\` is an example.
- The environment wins over the file, and \`--set NAME=value\` on the command line over both. Of a secret, \`<NAME>_FILE\` may name a file that holds it; in a file, the key with \`File\` behind it.
- A running process reads the file again when it changes, and all settings at a SIGHUP (when there is a file) or when the admin server is told to; it takes what is *reloadable* below, and names what waits for a restart (docs/capture.md).
- An empty value is an unset one. Numbers are read as PostHog reads them (\`30\`, \`1.0\`, \`1e6\`) and true is \`y\`, \`yes\`, \`t\`, \`true\`, \`on\` or \`1\`, in any case. What PostHog guesses at is refused: it reads \`30s\` as 30 and \`ture\` as false.
- In PostHog's environments \`test\` and \`dev\` some defaults differ: by the beginning of \`NODE_ENV\`, or where that says neither, a true \`DEBUG\` means \`dev\`.
- A value that is not understood, an unknown \`TROUPE_*\` name or a broken rule stops the start, with everything that is wrong in one message.
- \`node src/main.ts --config-check\` prints the settings in force and where each came from, with secrets masked.
- Where no server is named (\`KAFKA_HOSTS\`, \`CLICKHOUSE_HOST\`, \`DATABASE_URL\`, \`REDIS_URL\`), an embedded one stands in. With \`NODE_ENV=production\`, and for ClickHouse and PostgreSQL beside a real Kafka, that needs \`TROUPE_EMBEDDED_IN_PRODUCTION=true\`.
- Addresses may also come in PostHog's parts: ${Object.entries(ADDRESS_PARTS)
    .map(([address, parts]) => `\`${address}\` from ${parts.map((part) => `\`${part}\``).join(', ')}`)
    .join(
      '; ',
    )}. \`INGESTION_REDIS_HOST\` goes before \`POSTHOG_REDIS_HOST\`, and both before \`REDIS_URL\`; the others fill what is not set.

| section | |
|---|---|
${sections.map((section) => `| [${section}](#${section}) | ${SECTION_PROSE[section]} |`).join('\n')}

${sections.map(sectionDoc).join('\n')}
## Rules between settings

${RULES.map(({ prose }) => `- ${prose}.`).join('\n')}

## PostHog's variables that set nothing here

They may stay in a deployment; each that is set is named once at start.

${Object.entries(WITHOUT_EFFECT)
  .map(([reason, names]) => `- ${names.map((name) => `\`${name}\``).join(', ')}: ${reason}.`)
  .join('\n')}
`;
}

function sectionDoc(section: SectionName): string {
  const rows = ALL_SETTINGS.filter((row) => row.section === section).map(({ key, setting }) => settingDoc(`${section}.${key}`, setting));
  return `## ${section}\n\n${SECTION_PROSE[section]}\n\n${rows.join('\n')}`;
}

function settingDoc(key: string, setting: Setting): string {
  const elsewhere = Object.entries(setting.byEnvironment ?? {}).map(([environment, value]) => `${code(value)} in ${environment}`);
  const usual = [code(defaultOf(setting)), ...elsewhere].join(', ');
  const facts = [
    `in a file: \`${key}\``,
    `default: ${usual}`,
    `allowed: ${allowedOf(setting)}`,
    ...(setting.secret === true ? ['secret'] : []),
  ];
  const costs = [
    ...(setting.raise === undefined ? [] : [`- Raising: ${setting.raise}`]),
    ...(setting.lower === undefined ? [] : [`- Lowering: ${setting.lower}`]),
  ];
  return [`### \`${setting.name}\``, '', setting.prose, '', `- ${facts.join('; ')}`, ...costs, ''].join('\n');
}

const code = (text: string): string =>
  /^[\w./:,-]+( (ms|s|bytes|MiB))?( \(\d+ MiB\))?$/.test(text) && text !== 'unset' ? `\`${text}\`` : text;
