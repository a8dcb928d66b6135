// Passkeys: get a challenge, send the authenticator's response, then go to the next page.
// The buttons stay hidden if the browser does not support passkeys.
const can =
  typeof PublicKeyCredential === "function" &&
  "parseRequestOptionsFromJSON" in PublicKeyCredential;

async function send(address, body, token) {
  const answer = await fetch(address, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRFToken": token },
    body: JSON.stringify(body),
  });
  const said = await answer.json().catch(() => ({}));
  if (answer.ok) return said;
  if (said.error?.code === "sign_in_again") location.reload();
  throw new Error(said.error?.message ?? "That did not work. Try again in a moment.");
}

// The authenticator's own messages do not help users, and most mean that the window was closed.
function words(error) {
  if (error.name === "InvalidStateError") return "This device has a passkey of yours already.";
  if (error instanceof DOMException) return "Nothing was done: the passkey was not used.";
  return error.message;
}

async function attempt(place, button, steps) {
  const said = place.querySelector("[data-said]");
  said.hidden = true;
  button.disabled = true;
  try {
    location.assign((await steps()).next);
  } catch (error) {
    said.textContent = words(error);
    said.hidden = false;
    button.disabled = false;
  }
}

for (const place of document.querySelectorAll("[data-passkey]")) {
  const { options, answer, token, next } = place.dataset;
  const button = place.querySelector("button");
  place.hidden = !can;
  button.addEventListener("click", () =>
    attempt(place, button, async () => {
      const asked = await send(options, { next }, token);
      const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(asked.options);
      const credential = await navigator.credentials.get({ publicKey });
      return send(answer, { credential: credential.toJSON() }, token);
    }),
  );
}

for (const place of document.querySelectorAll("[data-passkey-new]")) {
  const { options, answer } = place.dataset;
  const form = place.querySelector("form");
  form.hidden = !can;
  place.querySelector("[data-cannot]").hidden = can;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const { name, csrf_token: token } = Object.fromEntries(new FormData(form));
    attempt(place, form.querySelector("button"), async () => {
      const asked = await send(options, {}, token);
      const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(asked.options);
      const credential = await navigator.credentials.create({ publicKey });
      return send(answer, { credential: credential.toJSON(), name }, token);
    });
  });
}
