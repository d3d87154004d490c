// A certified identity provider for tests: node oidc_provider.mjs PACKAGE_FOLDER REDIRECT_URI; prints its issuer
import { createServer } from "node:http";
import { pathToFileURL } from "node:url";
const [folder, redirectUri] = process.argv.slice(2);
const { Provider } = await import(pathToFileURL(`${folder}/lib/index.js`));
const client = (id) => ({
  client_id: id,
  client_secret: `secret of ${id}`,
  redirect_uris: [redirectUri],
  post_logout_redirect_uris: [redirectUri.replace("/callback", "")],
});
let answer;
const server = createServer((request, response) => answer(request, response));
await new Promise((done) => server.listen(0, "127.0.0.1", done));
const issuer = `http://127.0.0.1:${server.address().port}`;
const provider = new Provider(issuer, {
  clients: [client("jira-relay"), client("other-client")],
  pkce: { required: () => true },
  conformIdTokenClaims: false,
  claims: { openid: ["sub", "email", "roles"] },
  findAccount: (_context, id) => ({
    accountId: id,
    claims: () => ({ sub: id, email: `${id}@example.com`, roles: [`jira-relay-${id === "vera" ? "viewer" : "operator"}`] }),
  }),
});
answer = provider.callback();
console.log(issuer);
