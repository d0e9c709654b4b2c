/** Tells which hosts the permissions allow: an address is tried, a host is asked about. */
for (const place of Deno.args) {
  if (place.includes("://")) {
    try {
      console.log(place, (await fetch(place)).status);
    } catch (error) {
      console.log(place, error instanceof Error ? error.name : error);
    }
  } else console.log(place, Deno.permissions.querySync({ name: "net", host: place }).state);
}
