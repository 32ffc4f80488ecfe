package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

// A question is a message as flags describe it.
type question struct {
	phase, kind, server     string
	user, claims            string
	roles                   []string
	tool, args, annotations string
	resource, prompt        string
	params, result, failure string
}

func (q *question) flags(f *pflag.FlagSet) {
	f.StringVar(&q.user, "user", "", "`id` of the caller; none is anonymous")
	f.StringArrayVar(&q.roles, "role", nil, "a `role` of the caller; may be given more than once")
	f.StringVar(&q.claims, "claims", "", "`JSON` object of what the identity provider says of the caller")
	f.StringVar(&q.server, "server", "default", "`name` of the MCP server")
	f.StringVar(&q.tool, "tool", "", "`name` of the tool that is called")
	f.StringVar(&q.args, "args", "", "`JSON` of the arguments of the tool or prompt")
	f.StringVar(&q.annotations, "annotations", "", "`JSON` of the tool's annotations")
	f.StringVar(&q.resource, "resource", "", "`URI` of the resource that is read")
	f.StringVar(&q.prompt, "prompt", "", "`name` of the prompt")
	f.StringVar(&q.kind, "kind", "", "`method`; of a tool, resource or prompt the one that uses it")
	f.StringVar(&q.phase, "phase", "", "request, response, list or server_request; response if there is a result or error")
	f.StringVar(&q.params, "params", "", "`JSON` of the params, if they are not what the other flags say")
	f.StringVar(&q.result, "result", "", "`JSON` of the result")
	f.StringVar(&q.failure, "error", "", "`JSON` of the error")
}

// names are the names of those flags.
func (*question) names(f *pflag.FlagSet) (names []string) {
	f.VisitAll(func(f *pflag.Flag) {
		switch f.Name {
		case "bundle", "decision", "input", "explain", "format", "help":
		default:
			names = append(names, f.Name)
		}
	})
	return names
}

// input is the message as a gateway would describe it.
func (q *question) input() (*policy.Input, error) {
	in := &policy.Input{
		Phase: policy.Phase(q.phase), Kind: q.kind, Server: q.server,
		User:      policy.User{ID: "anonymous", Roles: q.roles, Auth: "anonymous"},
		RequestIP: "127.0.0.1", Headers: http.Header{}, ProtocolVersion: mcp.Versions[0], Transport: "http",
	}
	if q.user != "" {
		in.User.ID, in.User.Auth = q.user, "api_key"
	}
	if q.claims != "" {
		if err := json.Unmarshal([]byte(q.claims), &in.User.Claims); err != nil {
			return nil, fmt.Errorf("--claims: %w", err)
		}
	}
	args, err := q.values(in)
	if err != nil {
		return nil, err
	}
	if in.Phase == "" {
		in.Phase = policy.Request
		if in.Response.Exists() || in.Error.Exists() {
			in.Phase = policy.Response
		}
	}
	if err := q.target(in, args); err != nil {
		return nil, err
	}
	if in.Kind == "" {
		return nil, errors.New("say what is asked about: --tool, --resource, --prompt or --kind, or --input")
	}
	return in, nil
}

// values reads the flags that are JSON, and returns the arguments.
func (q *question) values(in *policy.Input) (args mcp.Value, err error) {
	for _, v := range []struct {
		flag, text string
		into       *mcp.Value
	}{
		{"args", q.args, &args},
		{"params", q.params, &in.Params},
		{"result", q.result, &in.Response},
		{"error", q.failure, &in.Error},
	} {
		if v.text == "" {
			continue
		}
		if *v.into, err = mcp.ParseValue(v.text); err != nil {
			return args, fmt.Errorf("--%s: %w", v.flag, err)
		}
	}
	return args, nil
}

// target fills in the tool, resource or prompt, and the params and the method
// that go with it.
func (q *question) target(in *policy.Input, args mcp.Value) (err error) {
	kind, params := "", ""
	switch {
	case q.tool != "":
		kind, params = "tools/call", withArguments(q.tool, args)
		in.Tool = &policy.Tool{Name: q.tool, Args: args}
		if q.annotations != "" {
			if in.Tool.Annotations, err = mcp.ParseValue(q.annotations); err != nil {
				return fmt.Errorf("--annotations: %w", err)
			}
		}
	case q.prompt != "":
		kind, params = "prompts/get", withArguments(q.prompt, args)
		in.Prompt = &policy.Prompt{Name: q.prompt, Args: args}
	case q.resource != "":
		kind, params = "resources/read", `{"uri":`+string(mcp.AppendString(nil, q.resource))+`}`
		in.Resource = policy.ParseResource(q.resource)
	}
	if in.Kind == "" {
		in.Kind = kind
	}
	if params != "" && !in.Params.Exists() && in.Phase != policy.List {
		in.Params, err = mcp.ParseValue(params)
	}
	return err
}

func withArguments(name string, args mcp.Value) string {
	text := `{"name":` + string(mcp.AppendString(nil, name))
	if args.Exists() {
		text += `,"arguments":` + args.Text()
	}
	return text + "}"
}

// readValue reads a JSON file, or standard input where the path is "-".
func readValue(path string, stdin io.Reader) (mcp.Value, error) {
	var raw []byte
	var err error
	if path == "-" {
		raw, err = io.ReadAll(stdin)
	} else {
		raw, err = os.ReadFile(filepath.Clean(path))
	}
	if err != nil {
		return mcp.Value{}, err
	}
	return mcp.ParseValue(string(raw))
}
