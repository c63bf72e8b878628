// test/peers/oauth2_server.cjs -- oauth2-mock-server with its token endpoint where Entra has it.
//
//   node oauth2_server.cjs DIR PORT PATH
//
// DIR is what test/peers/oauth2 --where prints, PATH the token endpoint's. GET /jwks has the keys.
const [directory, port, path] = process.argv.slice(2);
const { OAuth2Server } = require(`${directory}/node_modules/oauth2-mock-server`);

const server = new OAuth2Server(undefined, undefined, { endpoints: { token: path, jwks: '/jwks' } });
server.issuer.keys.generate('RS256').then(() => server.start(Number(port), '127.0.0.1'));
