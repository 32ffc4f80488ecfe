// Package policy is the policy decision point: it asks a Rego bundle, through
// OPA embedded in the process, what may pass. It loads and reloads bundles and
// answers with decisions; it enforces nothing.
package policy

import (
	"net/http"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// A Phase is the moment at which a message is judged.
type Phase string

// The phases of an exchange.
const (
	Request       Phase = "request"        // before anything goes upstream
	Response      Phase = "response"       // before anything of the server's reaches the client
	List          Phase = "list"           // each item of a list result
	ServerRequest Phase = "server_request" // a server asks the client for something
)

// A User is the principal as policies see it.
type User struct {
	ID     string
	Roles  []string
	Auth   string // how it was proved, as in anonymous, api_key, proxy
	Claims map[string]any
}

// Input is the document that a policy judges. Absent members are left out.
type Input struct {
	Phase           Phase
	Kind            string // the method
	Server          string
	User            User
	Tool            *Tool
	Resource        *Resource
	Prompt          *Prompt
	Params          mcp.Value
	Response        mcp.Value // the result, or a notification's params
	Error           mcp.Value
	RequestIP       string
	Headers         http.Header
	ClientName      string // said by the client itself, never to be trusted
	ClientVersion   string
	ProtocolVersion string
	Transport       string // http or stdio

	shared *shared

	// Of a copy that Decide makes: those of an earlier message must not stay behind.
	scan *scan
	kept bool // the bounds on arguments
}

// A Tool is the tool that a message is about. In phase list it has no Args.
type Tool struct {
	Name        string
	Args        mcp.Value
	Annotations mcp.Value
}

// A Prompt is the prompt that a message is about.
type Prompt struct {
	Name string
	Args mcp.Value
}

// shared holds the terms that the phases of one exchange have in common, so
// that they are built once. One goroutine at a time may use it.
type shared struct {
	terms *terms

	user, headers, client *ast.Term

	params     *ast.Term
	paramsFrom mcp.Value // what params was built of

	caller      string
	callerFor   *Snapshot // whose reads caller spells out
	headersText *string
}

// Begin prepares an input for the phases of one exchange: copies made of it
// afterwards share what they have in common.
func (in *Input) Begin() { in.shared = &shared{} }

// terms builds the terms of the exchange.
func (in *Input) terms() *terms { return once(&in.shared.terms, newTerms) }

// size is that of the parts of a message that may be large, in bytes.
func (in *Input) size() int {
	return len(in.Params.Text()) + len(in.Response.Text()) + len(in.Error.Text())
}

// interned keys of the input document.
var (
	keyVersion   = ast.InternedTerm("version")
	keyPhase     = ast.InternedTerm("phase")
	keyKind      = ast.InternedTerm("kind")
	keyServer    = ast.InternedTerm("server")
	keyUser      = ast.InternedTerm("user")
	keyTool      = ast.InternedTerm("tool")
	keyResource  = ast.InternedTerm("resource")
	keyPrompt    = ast.InternedTerm("prompt")
	keyParams    = ast.InternedTerm("params")
	keyResponse  = ast.InternedTerm("response")
	keyError     = ast.InternedTerm("error")
	keyIP        = ast.InternedTerm("request_ip")
	keyHeaders   = ast.InternedTerm("headers")
	keyClient    = ast.InternedTerm("client")
	keyProtocol  = ast.InternedTerm("protocol_version")
	keyTransport = ast.InternedTerm("transport")
	keyScan      = ast.InternedTerm("scan")
	keyBounds    = ast.InternedTerm("bounds")
	keyName      = ast.InternedTerm("name")
	keyArgs      = ast.InternedTerm("args")
	keyAnnot     = ast.InternedTerm("annotations")
	keyID        = ast.InternedTerm("id")
	keyRoles     = ast.InternedTerm("roles")
	keyAuth      = ast.InternedTerm("auth")
	keyClaims    = ast.InternedTerm("claims")
	keyArguments = ast.InternedTerm("arguments")

	inputVersion = ast.InternedTerm(1)
	boundsKept   = ast.ObjectTerm([2]*ast.Term{ast.InternedTerm("kept"), ast.InternedTerm(true)})
)

// term builds the input document, with the members that the policy reads.
func (in *Input) term(reads *reads) *ast.Term {
	if in.shared == nil {
		in.Begin()
	}
	o := in.terms().object()
	o.add(keyVersion, inputVersion)
	o.word(keyPhase, string(in.Phase))
	o.word(keyKind, in.Kind)
	o.text(keyServer, in.Server)
	if reads.member("request_ip") {
		o.text(keyIP, in.RequestIP)
	}
	if reads.member("protocol_version") {
		o.word(keyProtocol, in.ProtocolVersion)
	}
	if reads.member("transport") {
		o.word(keyTransport, in.Transport)
	}
	if reads.member("user") {
		o.add(keyUser, once(&in.shared.user, in.userTerm))
	}
	if reads.member("headers") {
		o.add(keyHeaders, once(&in.shared.headers, in.headersTerm))
	}
	if reads.member("client") && in.ClientName != "" {
		o.add(keyClient, once(&in.shared.client, in.clientTerm))
	}
	if in.Params.Exists() && (reads.member("params") || reads.member("tool") || reads.member("prompt")) {
		o.add(keyParams, in.paramsTerm())
	}
	if in.Tool != nil && reads.member("tool") {
		o.add(keyTool, in.named(in.Tool.Name, in.Tool.Args, in.Tool.Annotations))
	}
	if in.Prompt != nil && reads.member("prompt") {
		o.add(keyPrompt, in.named(in.Prompt.Name, in.Prompt.Args, mcp.Value{}))
	}
	if in.Resource != nil && reads.member("resource") {
		o.add(keyResource, in.Resource.term(in.terms()))
	}
	if in.Response.Exists() && reads.member("response") {
		o.add(keyResponse, in.terms().value(in.Response))
	}
	if in.Error.Exists() && reads.member("error") {
		o.add(keyError, in.terms().value(in.Error))
	}
	if in.scan != nil {
		o.add(keyScan, in.scan.term())
	}
	if in.kept {
		o.add(keyBounds, boundsKept)
	}
	return o.term()
}

func once[T any](cached **T, build func() *T) *T {
	if *cached == nil {
		*cached = build()
	}
	return *cached
}

func (in *Input) userTerm() *ast.Term {
	o := in.terms().object()
	o.text(keyID, in.User.ID)
	o.add(keyRoles, in.terms().texts(in.User.Roles))
	o.word(keyAuth, in.User.Auth)
	if in.User.Claims != nil {
		if v, err := ast.InterfaceToValue(in.User.Claims); err == nil {
			o.add(keyClaims, ast.NewTerm(v))
		}
	}
	return o.term()
}

func (in *Input) headersTerm() *ast.Term {
	o := in.terms().object()
	for name, values := range in.Headers {
		o.text(o.t.word(strings.ToLower(name)), strings.Join(values, ", "))
	}
	return o.term()
}

func (in *Input) clientTerm() *ast.Term {
	o := in.terms().object()
	o.text(keyName, in.ClientName)
	o.text(keyVersion, in.ClientVersion)
	return o.term()
}

func (in *Input) paramsTerm() *ast.Term {
	if in.shared.params == nil || in.shared.paramsFrom != in.Params {
		in.shared.params, in.shared.paramsFrom = in.terms().value(in.Params), in.Params
	}
	return in.shared.params
}

// named builds a tool or a prompt. Its arguments are the very term that stands
// in params, when they are those: a server's request has params of its own,
// which may well have a member of that name.
func (in *Input) named(name string, args, annotations mcp.Value) *ast.Term {
	o := in.terms().object()
	o.text(keyName, name)
	switch {
	case !args.Exists():
	case args == in.Params.Get("arguments"):
		o.add(keyArgs, in.paramsTerm().Value.(ast.Object).Get(keyArguments))
	default:
		o.add(keyArgs, o.t.value(args))
	}
	if annotations.Exists() {
		o.add(keyAnnot, o.t.value(annotations))
	}
	return o.term()
}
