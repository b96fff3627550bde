// Without a connection a page says so, in its own clothes. Nothing personal is ever kept.
"use strict";

const NAME = "commonry-1", FILES = KEPT;

self.addEventListener("install", (event) => event.waitUntil(caches.open(NAME).then((cache) => cache.addAll(FILES)).then(() => self.skipWaiting())));
self.addEventListener("activate", (event) => event.waitUntil(caches.keys().then((names) => Promise.all(names.filter((name) => name !== NAME).map((name) => caches.delete(name)))).then(() => self.clients.claim())));
self.addEventListener("fetch", (event) => {
  if (event.request.mode === "navigate") event.respondWith(fetch(event.request).catch(() => caches.match("/offline")));
  else if (FILES.includes(new URL(event.request.url).pathname)) event.respondWith(caches.match(event.request).then((kept) => kept ?? fetch(event.request)));
});
