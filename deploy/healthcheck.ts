/**
 * Ends with 0 when the process of this container says that it can make progress (`/_health`), with 1 when not or when nobody answers: for HEALTHCHECK
 * in an image without curl. Docker's own limit ends it when the answer does not come. Kubernetes asks by itself (deploy/kubernetes).
 */
const { TROUPE_HTTP_HOST: host = '0.0.0.0', HTTP_SERVER_PORT: port = '6738' } = process.env;
const reachable = ['0.0.0.0', '::', ''].includes(host) ? '127.0.0.1' : host;
const address = `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}/_health`;
try {
  const response = await fetch(address);
  if (!response.ok) complain(`${response.status} ${await response.text()}`);
} catch (error) {
  // fetch says "fetch failed", and why in the cause
  const { cause } = error as Error;
  complain(String(cause instanceof Error ? cause : error));
}

function complain(what: string): void {
  console.error(`${address}: ${what}`);
  process.exitCode = 1;
}
