#!/usr/bin/env node
/**
 * The program under its own name: `npm exec troupe -- spill list` in a checkout, `troupe spill list` after `npm link`. It is bootstrap.mjs with
 * that command, so it installs what is missing and runs on the Node that is one of the packages.
 */
process.argv.splice(2, 0, 'troupe');
await import('./bootstrap.mjs');
