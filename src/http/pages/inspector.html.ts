import { createHash } from 'node:crypto';
import { INSPECTOR_SCRIPT } from './inspector.script.ts';
import { INSPECTOR_STYLE } from './inspector.style.ts';

/** The page and the policy to send with it: it loads nothing from anywhere, and only its own script runs. */
export interface Page {
  readonly html: string;
  readonly policy: string;
}

let page: Page | undefined;

/** The inspector's page. Everything shown comes from `/inspect/…` and is put in as text, never as markup. */
export function inspectorPage(): Page {
  return (page ??= {
    html: `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Troupe · inspector</title>
<link rel="icon" href="data:,">
<style>${INSPECTOR_STYLE}</style>
</head>
<body>
<header>
  <h1>Troupe</h1>
  <p id="state" role="status">connecting …</p>
  <label><input type="checkbox" id="live" checked> refresh every 2 s</label>
</header>
<main>
  <section class="wide" aria-labelledby="h-kinds"><h2 id="h-kinds">Actors by kind</h2><div id="kinds" class="tiles"></div></section>
  <section class="wide" aria-labelledby="h-ledger">
    <h2 id="h-ledger">Ledgers <small>one per assigned partition: what is read, in flight, and safe to commit</small></h2>
    <div id="ledger"></div>
  </section>
  <section class="wide" aria-labelledby="h-actors">
    <h2 id="h-actors">Actors
      <select id="sort" aria-label="sorted by"><option value="mailbox">fullest mailbox</option><option value="age">oldest message</option><option value="busy">longest at one message</option><option value="restarts">most restarts</option><option value="handled">most handled</option></select>
      <select id="kind" aria-label="of kind"><option value="">of every kind</option></select>
    </h2>
    <div id="actors"></div>
  </section>
  <section aria-labelledby="h-tree"><h2 id="h-tree">Tree</h2><div id="tree" class="tree"></div></section>
  <section aria-labelledby="h-find">
    <h2 id="h-find">Find</h2>
    <form id="find-event"><input name="uuid" placeholder="event uuid" aria-label="event uuid" required size="36"><button>event</button></form>
    <form id="find-person"><input name="team" placeholder="team" aria-label="team id" required size="5" inputmode="numeric"><input name="distinct_id" placeholder="distinct_id" aria-label="distinct_id" required><button>person</button></form>
    <form id="find-actor"><input name="path" placeholder="/writers/person-writer" aria-label="actor path" required size="36"><button>actor</button></form>
    <pre id="found" hidden></pre>
  </section>
  <section class="wide" aria-labelledby="h-dead"><h2 id="h-dead">Dead letters <small>messages that found no actor, and events set aside as poison</small></h2><div id="dead"></div></section>
</main>
<script>${INSPECTOR_SCRIPT}</script>
</body>
</html>
`,
    policy: [
      "default-src 'none'",
      "connect-src 'self'",
      "style-src 'unsafe-inline'",
      'img-src data:',
      `script-src 'sha256-${createHash('sha256').update(INSPECTOR_SCRIPT).digest('base64')}'`,
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ].join('; '),
  });
}
