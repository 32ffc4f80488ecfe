package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil" //nolint:depguard // the bare proxy is what the gateway is measured against
	"strings"
)

// The design that the gateway replaces: the bare reverse proxy, which asks an
// OPA server for each request and each answer, and obeys. It looks for the
// caller, and parses and checks no more than it needs to ask.
type opaProxy struct {
	proxy *httputil.ReverseProxy
	ask   *http.Client
	opa   string            // the URL of the decision
	roles map[[32]byte]user // by the digest of an API key
}

// A document is the input as the gateway makes it, but for scan and bounds:
// those are what the gateway finds out for its policy.
type document struct {
	Version         int               `json:"version"`
	Phase           string            `json:"phase"`
	Kind            string            `json:"kind"`
	Server          string            `json:"server"`
	RequestIP       string            `json:"request_ip"`
	ProtocolVersion string            `json:"protocol_version,omitempty"`
	Transport       string            `json:"transport"`
	User            user              `json:"user"`
	Headers         map[string]string `json:"headers"`
	Client          *clientInfo       `json:"client,omitempty"`
	Params          json.RawMessage   `json:"params,omitempty"`
	Tool            *tool             `json:"tool,omitempty"`
	Response        json.RawMessage   `json:"response,omitempty"`
	Error           json.RawMessage   `json:"error,omitempty"`
}

type user struct {
	ID    string   `json:"id"`
	Roles []string `json:"roles"`
	Auth  string   `json:"auth"`
}

type clientInfo struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

type tool struct {
	Name string          `json:"name"`
	Args json.RawMessage `json:"args,omitempty"`
}

// documentKey is where a request's document is, in its context.
type documentKey struct{}

func serveOPAProxy(args []string, out io.Writer) error {
	if len(args) != 2 {
		return errors.New("opa-proxy needs the URLs of its server and of OPA")
	}
	p, err := newOPAProxy(args[0], args[1])
	if err != nil {
		return err
	}
	return serve(loopback, measured(p), out)
}

func newOPAProxy(server, opa string) (*opaProxy, error) {
	proxy, err := newProxy(server)
	if err != nil {
		return nil, err
	}
	p := &opaProxy{
		proxy: proxy, ask: &http.Client{Transport: keeping()}, opa: opa + "/v1/data/mcp/decision",
		roles: map[[32]byte]user{sha256.Sum256([]byte(apiKey)): {ID: userID, Roles: userRoles, Auth: "api_key"}},
	}
	proxy.ModifyResponse = p.judgeAnswer
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, err error) { refuse(w, http.StatusForbidden, err) }
	return p, nil
}

func refuse(w http.ResponseWriter, status int, err error) { http.Error(w, err.Error(), status) }

func (p *opaProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	caller, known := p.roles[sha256.Sum256([]byte(key))]
	if !known {
		refuse(w, http.StatusUnauthorized, errors.New("unknown caller"))
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	doc, err := requestDocument(r, body, caller)
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	if err := p.allowed(r, doc); err != nil {
		refuse(w, http.StatusForbidden, err)
		return
	}
	r = r.WithContext(context.WithValue(r.Context(), documentKey{}, doc))
	r.Body = io.NopCloser(bytes.NewReader(body))
	p.proxy.ServeHTTP(w, r)
}

func requestDocument(r *http.Request, body []byte, caller user) (*document, error) {
	var message struct {
		Method string          `json:"method"`
		Params json.RawMessage `json:"params"`
	}
	var params struct {
		Name string          `json:"name"`
		Args json.RawMessage `json:"arguments"`
		Meta struct {
			Client *clientInfo `json:"io.modelcontextprotocol/clientInfo"`
		} `json:"_meta"`
	}
	if err := json.Unmarshal(body, &message); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(message.Params, &params); err != nil {
		return nil, err
	}
	ip, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return nil, err
	}
	doc := &document{
		Version: 1, Phase: "request", Kind: message.Method, Server: serverName, RequestIP: ip,
		ProtocolVersion: r.Header.Get("Mcp-Protocol-Version"), Transport: "http", User: caller,
		Headers: make(map[string]string, len(r.Header)+1), Client: params.Meta.Client, Params: message.Params,
	}
	for name, values := range r.Header {
		doc.Headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	doc.Headers["host"] = r.Host
	if message.Method == "tools/call" {
		doc.Tool = &tool{params.Name, params.Args}
	}
	return doc, nil
}

// judgeAnswer reads the whole answer, and asks about its result.
func (p *opaProxy) judgeAnswer(resp *http.Response) error {
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	text := body
	if resp.Header.Get("Content-Type") == "text/event-stream" {
		_, text, _ = bytes.Cut(body, []byte("data: "))
	}
	doc := *resp.Request.Context().Value(documentKey{}).(*document)
	var message struct {
		Result json.RawMessage `json:"result"`
		Error  json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(text, &message); err != nil {
		return err
	}
	doc.Phase, doc.Response, doc.Error = "response", message.Result, message.Error
	if err := p.allowed(resp.Request, &doc); err != nil {
		return err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

// allowed asks OPA. Whatever is not allowed as it is, is refused: the load has
// nothing that the policy would patch.
func (p *opaProxy) allowed(r *http.Request, doc *document) error {
	question, err := json.Marshal(struct {
		Input *document `json:"input"`
	}{doc})
	if err != nil {
		return err
	}
	ask, err := http.NewRequestWithContext(r.Context(), http.MethodPost, p.opa, bytes.NewReader(question))
	if err != nil {
		return err
	}
	ask.Header.Set("Content-Type", "application/json")
	resp, err := p.ask.Do(ask)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	var answer struct {
		Result struct {
			Allow  bool            `json:"allow"`
			Reason string          `json:"reason"`
			Patch  json.RawMessage `json:"patch"`
		} `json:"result"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return err
	}
	if !answer.Result.Allow || answer.Result.Patch != nil {
		return fmt.Errorf("refused: %.300s", text)
	}
	return nil
}
