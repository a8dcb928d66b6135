// Passkeys: a challenge from us, an answer of the browser's authenticator, and on to the next page.
// Everything stays hidden where the browser lacks them.
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

// What the authenticator says of a refusal helps nobody, and most are "you closed the window".
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
