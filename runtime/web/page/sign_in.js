// Who comes through a link on another site may be signed in all the same: the browser keeps a SameSite=Strict cookie
// from that first request, but not from this one.
"use strict";

fetch("/api/state").then((answer) => {
  if (answer.ok) location.replace("/");
});
