// Package config turns one YAML file, the environment and the command line into one [Config].
//
// A setting comes from the first of these that has it: flag, environment, file, default. An empty flag or an
// empty variable counts as not given (deployment templates often leave them empty). The file is decoded
// strictly: an unknown key, a duplicate key, a wrong type or a value out of range is an error, and so is a
// malformed variable even where something else wins over it. An error names the file and line, the key, the
// value and what is allowed; all problems of a start are reported together. The values of headers and API
// keys are never part of an error.
//
// ${NAME} inside a value of the file stands for the environment variable NAME, which must be set and not
// empty. A literal ${ is written $${; any other $ stands for itself. Inside YAML's {…} and […] such a value
// needs quotes. Keys are not expanded, and what a variable holds is never read as YAML.
//
// A file whose name ends in .json or .jsonc is JSON, with comments and trailing commas. If none of its
// top-level keys but mcpServers is one of the gateway's, it is an MCP client's: what it says about servers is
// read as that client reads it, and the rest is ignored with a warning.
package config

import (
	"crypto/sha256"
	"net/netip"
	"net/url"
	"time"
)

// Config is the whole configuration of one gateway: complete, validated and ready to use. It must not be
// changed after [Load] has returned it, and may then be read by any number of goroutines.
type Config struct {
	// Listen is the TCP address (host:port) of the MCP listener. Unless its host is a loopback address,
	// an identity is configured.
	Listen string
	// Admin is the TCP address (host:port) of /healthz, /readyz and /metrics.
	Admin string
	// TLS and AdminTLS are those of the two listeners; nil: plain text.
	TLS, AdminTLS *TLS
	// Servers are the MCP servers behind the gateway, by the name in their path, /servers/{name}/mcp.
	// A name matches [a-z0-9-]{1,63}. It may be empty: a command that needs a server says so itself.
	Servers map[string]Server
	// Processes bound the processes of servers with a command.
	Processes Processes
	// Identity says who may call.
	Identity Identity
	// Policy says what decides, and what happens when it cannot.
	Policy Policy
	// Deny is the form of a refusal.
	Deny Deny
	// Audit says where decision records go.
	Audit Audit
	// Origins are the browser origins allowed beside the same host, as a browser writes them: lower case,
	// scheme://host or scheme://host:port, without a default port.
	Origins []string
	// Handles says what seals the handles that clients bring back.
	Handles Handles
	// Limits bound what one message may cost.
	Limits Limits
	// Warnings tell what of a client's file is ignored or changed, each with its place. They hold no values.
	Warnings []string
	// Drain is how long messages are still served when the process was told to end and is no longer ready.
	Drain time.Duration
}

// A Server is one MCP server: a URL, or a command that is one.
type Server struct {
	// Transport is TransportStdio with a Command, and one of the others with a URL.
	Transport Transport
	// Command is a program, by path or by name, that speaks MCP on its standard input and output; empty: URL
	// is set. Args are its arguments, Env the variables that it is given. Dir is where it runs; empty: where
	// the gateway does.
	Command string
	Args    []string // may hold secrets
	Env     map[string]Secret
	Dir     string
	// URL is absolute, http or https, without credentials and fragment; nil: Command is set. It must not be
	// changed.
	URL *url.URL
	// Headers are sent with every request to the server, by canonical name. They never name a header
	// that belongs to the connection, the message or the protocol.
	Headers map[string]Secret
	// RequiredScopes are those that a token needs for this server. They do not concern other proofs.
	RequiredScopes []string
	// HeaderFiles are files with the values of more headers, by canonical name. They are read again when
	// they change.
	HeaderFiles map[string]string
	// OAuth2 gets the gateway's own access token for the server, TokenExchange one for each caller in
	// exchange for the caller's. At most one is set, and then nothing else sets Authorization.
	OAuth2, TokenExchange *TokenClient
	// TLS is used only with an https URL.
	TLS ServerTLS
}

// Identity says how a caller is known. Where nothing matches, the answer is 401.
type Identity struct {
	// Anonymous is who a caller without credentials is; nil means that there is no such caller. It is
	// filled in by default only where the file has no identity section and Listen is a loopback address.
	Anonymous *Caller
	// PublicURL is the origin under which clients reach the gateway, scheme://host; empty: as each request says.
	PublicURL string
	// APIKeys are the known keys, by digest. No two have the same digest; several may share an id.
	APIKeys []APIKey
	// APIKeysFile is a file with more keys, for [LoadAPIKeys]; empty: none.
	APIKeysFile string
	// JWT are the issuers whose tokens are accepted, each named once.
	JWT []Issuer
	// Introspection is the issuer that is asked about tokens that are no JWTs; nil: none.
	Introspection *Introspection
	// Certificates say whose client certificates are whose. The first that matches counts.
	Certificates []Certificate
	// TrustedProxies may say who a caller is.
	TrustedProxies TrustedProxies
}

// A Caller is a name and its roles, as the policy sees them.
type Caller struct {
	ID    string   // never empty
	Roles []string // never nil
}

// An APIKey is one known key and the caller who holds it.
type APIKey struct {
	Caller
	SHA256 [sha256.Size]byte // of the key's bytes; never that of an empty key
}

// Claims say what the claims of an issuer's tokens mean.
type Claims struct {
	Issuer string // an https URL, or http on this machine
	// Audience is what a token must be for. {server} in it stands for the name of the server.
	Audience   string
	IDClaim    string // a name, or names joined by dots
	RolesClaim string // the same
	ClockSkew  time.Duration
}

// An Issuer is an authorization server whose JWTs are accepted.
type Issuer struct {
	Claims
	JWKSURL    string // empty: found by the issuer's metadata
	Algorithms []string
	Tokens     TokenKind
}

// TokenKind says which JWTs of an issuer count as access tokens.
type TokenKind string

// The kinds of tokens.
const (
	TokensAccess TokenKind = "access" // all but those that are recognisably for another purpose
	TokensTyped  TokenKind = "at+jwt" // those alone whose header says that they are access tokens
	TokensAny    TokenKind = "any"    // ID tokens too
)

// Introspection is an authorization server that is asked about tokens.
type Introspection struct {
	Claims
	URL          string // an https URL, or http on this machine
	ClientID     string
	ClientSecret Secret
	Cache        time.Duration // that an answer counts; zero: each request asks
}

// A Certificate says who holds a client certificate. Exactly one of Subject and SPIFFE is set.
type Certificate struct {
	Subject string // the distinguished name, as RFC 2253 writes it
	SPIFFE  string // a SPIFFE ID; one that ends in /* stands for all below it
	ID      string // empty: the subject or SPIFFE ID of the certificate
	Roles   []string
}

// TrustedProxies are the peers whose word on identity and address counts.
type TrustedProxies struct {
	CIDRs       []netip.Prefix // masked, never 4-in-6; empty: nobody is trusted
	UserHeader  string         // canonical name of the header with the caller's id
	RolesHeader string         // canonical name of the header with the caller's roles; not UserHeader
}

// Mode says what the policy's answer does to traffic.
type Mode string

// The modes, from no effect to full effect.
const (
	ModeOff        Mode = "off"        // nothing is evaluated
	ModePermissive Mode = "permissive" // evaluated, logged and audited; traffic is never touched
	ModeEnforce    Mode = "enforce"    // denies and patches
)

// Policy says what decides.
type Policy struct {
	Mode Mode
	// Bundle is a .tar.gz file, a directory, an http(s) URL without credentials, or an OCI reference with a
	// tag or a digest, oci://registry/repository:tag; empty: none. A relative path is relative to the
	// working directory.
	Bundle string
	// Poll is the time between two looks at the bundle; zero: only SIGHUP reloads.
	Poll time.Duration
	// LongPoll is how long an HTTP server that can may hold its answer back until there is a new bundle;
	// zero: it is not asked to.
	LongPoll time.Duration
	// CA is a file of authorities in PEM for the bundle's server; empty: the system's.
	CA string
	// Credentials are for the bundle's server alone.
	Credentials Credentials
	// Verify says how a bundle must be signed; nil: signatures are not looked at.
	Verify *BundleVerify
	// Persist is a directory for the last good bundles; empty: none is kept.
	Persist string
	// Monotonic refuses a revision that is older than the newest ever in force.
	Monotonic bool
	// Revoked is a file or http(s) URL of revisions that must not be in force; empty: none.
	Revoked string
	// SHA256 pins the bundle's .tar.gz: 64 lower-case hex digits, or a path or http(s) URL that ends in
	// .sha256 and is read at every reload; empty: not pinned. A flag or variable that names another
	// bundle leaves it in force; only POLICY_BUNDLE_SHA256 replaces it.
	SHA256 string
	// Decision is the rule that decides, by its path below data: mcp/decision is data.mcp.decision.
	Decision string
	// Timeout bounds one evaluation; never zero.
	Timeout time.Duration
	// AllowOnMissing allows traffic while no bundle was ever loaded.
	AllowOnMissing bool
	// AllowOnError allows what the policy failed to judge: an error, a timeout, an answer that is none.
	AllowOnError bool
	// Candidate is judged beside the policy in force, and decides nothing.
	Candidate Candidate
}

// A Candidate is a bundle on trial. Poll, Decision and Timeout are those of the policy in force.
type Candidate struct {
	Bundle string // as Policy.Bundle; empty: none
	SHA256 string // as Policy.SHA256
}

// Credentials are what a service of the gateway's own wants to see. At most one kind is set.
type Credentials struct {
	Bearer      Secret
	BearerFile  string             // a file with the token
	Basic       *Basic             // nil: none
	Certificate *ClientCertificate // nil: none
	OAuth2      *OAuth2            // nil: none
}

// Basic is a user of HTTP's Basic scheme.
type Basic struct {
	Username string
	Password Secret
}

// ClientCertificate is a client certificate and its key, files in PEM.
type ClientCertificate struct {
	Certificate, Key string
}

// OAuth2 is a client of a token endpoint, by the client credentials grant.
type OAuth2 struct {
	TokenURL     *url.URL
	ClientID     string
	ClientSecret Secret
	Scopes       []string
}

// BundleVerify says how a bundle must be signed.
type BundleVerify struct {
	Key       string // file
	Algorithm string // RS256, ES256 or HS256
	KeyID     string // that the signature must name; empty: any
	Scope     string // that it must have; empty: none
}

// DenyStyle is the form of a refusal on HTTP.
type DenyStyle string

// The forms of a refusal.
const (
	DenyAuto       DenyStyle = "auto"       // JSONRPC for a session of an older revision, else HTTP
	DenyHTTP       DenyStyle = "http"       // status 403, 422 or 429 with a JSON-RPC error
	DenyJSONRPC    DenyStyle = "jsonrpc"    // status 200 with the same body
	DenyToolResult DenyStyle = "toolResult" // for tools/call: status 200 and a result with isError
)

// Deny is the form of a refusal.
type Deny struct {
	Style      DenyStyle
	ShowReason bool // the client gets the policy's reason
}

// Limits bound what one message may cost.
type Limits struct {
	MaxMessageBytes int64 // 1 to 1 GiB
}

// A Secret is text that must not be shown: formatted or encoded, it is "[redacted]". Its bytes are string(s).
type Secret string

// String returns a fixed text, never the secret.
func (Secret) String() string { return "[redacted]" }

// GoString returns a fixed text, never the secret.
func (s Secret) GoString() string { return s.String() }

// MarshalText returns a fixed text, never the secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// defaults is the configuration of an empty file.
func defaults() *Config {
	return &Config{
		Listen:  "127.0.0.1:8080",
		Admin:   "127.0.0.1:8081",
		Servers: map[string]Server{},
		Processes: Processes{
			Max: 256, MaxPerPrincipal: 16, Idle: 10 * time.Minute, Lifetime: 24 * time.Hour, MaxMemory: 1 << 30,
		},
		Identity: Identity{TrustedProxies: TrustedProxies{
			UserHeader:  "X-Forwarded-User",
			RolesHeader: "X-Forwarded-Groups",
		}},
		Policy: Policy{
			Mode:           ModePermissive,
			Poll:           30 * time.Second,
			Decision:       "mcp/decision",
			Timeout:        50 * time.Millisecond,
			AllowOnMissing: true,
		},
		Deny: Deny{Style: DenyAuto, ShowReason: true},
		Audit: Audit{Path: "-", Input: AuditInputMasked, DecisionLogs: DecisionLogs{
			BufferBytes: 8 << 20,
			Delay:       Range{Min: 5 * time.Second, Max: 30 * time.Second},
		}},
		Limits: Limits{MaxMessageBytes: 4 << 20},
	}
}
