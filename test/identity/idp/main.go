// Command idp is an OpenID provider for tests: the certified library
// github.com/zitadel/oidc with the storage of its example, in a module of its
// own so that the gateway does not depend on it.
//
// It prints its issuer and serves until it is killed. Its users are
// test-user@127.0.0.1 and test-user2, both with the password verysecure. Client
// "jwt" gets JWTs, client "opaque" tokens to introspect, and "gatehouse", whose
// secret is "secret", may introspect. POST /rotate replaces the signing key.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

const redirect = "http://127.0.0.1:1/callback" // where nobody listens: the test reads the URL

func main() {
	audience := flag.String("audience", "", "what access tokens are for")
	flag.Parse()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	issuer := "http://" + l.Addr().String()
	storage.RegisterClients(
		storage.NativeClient("jwt", redirect), storage.NativeClient("opaque", redirect), storage.WebClient("gatehouse", "secret"),
	)
	p := &provider{Storage: storage.NewStorage(storage.NewUserStore(issuer)), issuer: issuer, audience: *audience}
	p.rotate()
	mux := http.NewServeMux()
	mux.Handle("/", exampleop.SetupServer(issuer, p, slog.New(slog.DiscardHandler), false))
	mux.HandleFunc("POST /rotate", func(http.ResponseWriter, *http.Request) { p.rotate() })
	fmt.Println(issuer)
	log.Fatal((&http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}).Serve(l))
}

// A provider is the example's storage with keys that rotate, an audience, roles,
// and both kinds of access tokens.
type provider struct {
	*storage.Storage
	issuer, audience string

	mu   sync.Mutex
	keys []signer // the last one signs
}

type signer struct {
	id  string
	key *ecdsa.PrivateKey
}

func (s signer) SignatureAlgorithm() jose.SignatureAlgorithm { return jose.ES256 }
func (s signer) Key() any                                    { return s.key }
func (s signer) ID() string                                  { return s.id }

type verifier struct{ signer }

func (v verifier) Algorithm() jose.SignatureAlgorithm { return jose.ES256 }
func (v verifier) Use() string                        { return "sig" }
func (v verifier) Key() any                           { return v.key.Public() }

func (p *provider) rotate() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = append(p.keys, signer{rand.Text(), key})
}

func (p *provider) SigningKey(context.Context) (op.SigningKey, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keys[len(p.keys)-1], nil
}

func (p *provider) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{jose.ES256}, nil
}

func (p *provider) KeySet(context.Context) (all []op.Key, _ error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.keys {
		all = append(all, verifier{s})
	}
	return all, nil
}

// A client is one of the example's, with JWTs for the one that is named so.
type client struct{ op.Client }

func (c client) AccessTokenType() op.AccessTokenType {
	if c.GetID() == "jwt" {
		return op.AccessTokenTypeJWT
	}
	return op.AccessTokenTypeBearer
}

func (c client) IsScopeAllowed(scope string) bool { return strings.HasPrefix(scope, "mcp:") }

func (p *provider) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	c, err := p.Storage.GetClientByClientID(ctx, id)
	if err != nil {
		return nil, err
	}
	return client{c}, nil
}

// A request is one of the example's, for the audience that the provider knows.
type request struct {
	*storage.AuthRequest
	audience string
}

func (r request) GetAudience() []string { return []string{r.ApplicationID, r.audience} }

func (p *provider) wrap(r op.AuthRequest, err error) (op.AuthRequest, error) {
	if err != nil {
		return nil, err
	}
	return request{r.(*storage.AuthRequest), p.audience}, nil
}

func (p *provider) CreateAuthRequest(ctx context.Context, r *oidc.AuthRequest, user string) (op.AuthRequest, error) {
	return p.wrap(p.Storage.CreateAuthRequest(ctx, r, user))
}

func (p *provider) AuthRequestByID(ctx context.Context, id string) (op.AuthRequest, error) {
	return p.wrap(p.Storage.AuthRequestByID(ctx, id))
}

func (p *provider) AuthRequestByCode(ctx context.Context, code string) (op.AuthRequest, error) {
	return p.wrap(p.Storage.AuthRequestByCode(ctx, code))
}

func (p *provider) CreateAccessToken(ctx context.Context, r op.TokenRequest) (string, time.Time, error) {
	if r, ok := r.(request); ok {
		return p.Storage.CreateAccessToken(ctx, r.AuthRequest)
	}
	return p.Storage.CreateAccessToken(ctx, r)
}

func (p *provider) GetPrivateClaimsFromScopes(_ context.Context, user, _ string, scopes []string) (map[string]any, error) {
	return map[string]any{"scope": strings.Join(scopes, " "), "realm_access": map[string]any{"roles": roles(user)}}, nil
}

func (p *provider) SetIntrospectionFromToken(ctx context.Context, r *oidc.IntrospectionResponse, id, user, by string) error {
	if by != "gatehouse" {
		return fmt.Errorf("%s may not introspect", by)
	}
	if err := p.Storage.SetIntrospectionFromToken(ctx, r, id, user, "opaque"); err != nil {
		return err
	}
	r.Issuer, r.Audience = p.issuer, oidc.Audience{p.audience}
	r.Claims = map[string]any{"realm_access": map[string]any{"roles": roles(user)}}
	return nil
}

func roles(user string) []string {
	if user == "id1" {
		return []string{"dev"}
	}
	return []string{"intern"}
}
