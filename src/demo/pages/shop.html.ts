/** Markup of the demo's shop: what its script (shop.script.ts) fills, and buttons by `data-do`. */
export const SHOP_HTML = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Troupe · demo shop</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/shop.css">
<script src="/shop.js" defer></script>
</head>
<body>
<header>
  <h1>Demo shop</h1>
  <p>posthog-js, unmodified, sends what you do here to Troupe at <code id="capture"></code>. Every event comes back as its row in ClickHouse.</p>
</header>
<main>
  <section aria-labelledby="h-shop">
    <h2 id="h-shop">Shop</h2>
    <div class="shelf">
      <article><svg viewBox="0 0 48 48" aria-hidden="true"><path d="M4 34c0-8 3-14 5-20 5 5 9 7 13 7l16 9c4 2 6 4 6 8v2H4z"/><path d="M4 40h40" /></svg><b>Runner</b><small>89 €</small><button data-do="add" data-product="Runner" data-price="89">Add to cart</button></article>
      <article><svg viewBox="0 0 48 48" aria-hidden="true"><path d="M13 34V9h22v25"/><path d="M13 27h22"/><path d="M4 34c0 4 9 6 20 6s20-2 20-6"/></svg><b>Top hat</b><small>45 €</small><button data-do="add" data-product="Top hat" data-price="45">Add to cart</button></article>
      <article><svg viewBox="0 0 48 48" aria-hidden="true"><path d="M10 8c8 6 20 6 28 0l2 8c-9 7-23 7-32 0z"/><path d="M30 20l4 20h-9l-3-18"/></svg><b>Scarf</b><small>19 €</small><button data-do="add" data-product="Scarf" data-price="19">Add to cart</button></article>
    </div>
    <p class="cart"><span id="cart">The cart is empty.</span> <button data-do="order" id="order" disabled>Order</button></p>
    <h2>You</h2>
    <form id="sign-in"><label>Name <input name="name" autocomplete="off" placeholder="ann" required></label><button>Sign in <small>identify</small></button></form>
    <form id="company"><label>Company <input name="company" autocomplete="off" placeholder="acme" required></label><button>Join <small>group</small></button></form>
    <div class="row">
      <button data-do="plan">Go pro <small>$set</small></button>
      <button data-do="alias">Add my CRM id <small>alias</small></button>
      <button data-do="reset">Sign out <small>reset</small></button>
    </div>
    <h2>Mishaps</h2>
    <div class="row">
      <button data-do="throw">Break something <small>$exception</small></button>
      <button data-do="beacon">Send and forget <small>sendBeacon</small></button>
    </div>
  </section>
  <section class="ph-no-capture" aria-labelledby="h-events">
    <h2 id="h-events">Events <small id="sum" role="status">waiting for posthog-js …</small></h2>
    <ol id="events" aria-live="polite"></ol>
    <p class="soft" id="recording"></p>
  </section>
</main>
</body>
</html>
`;
