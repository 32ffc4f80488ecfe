package bridge

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// Members of _meta that modern messages have.
const (
	metaPrefix       = "io.modelcontextprotocol/"
	metaVersion      = metaPrefix + "protocolVersion"
	metaClient       = metaPrefix + "clientInfo"
	metaCapabilities = metaPrefix + "clientCapabilities"
	metaLevel        = metaPrefix + "logLevel"
	metaSubscription = metaPrefix + "subscriptionId"
	metaServer       = metaPrefix + "serverInfo"
)

// Error codes of the protocol that only its eras' differences call for.
const (
	codeInternal         = -32603
	codeMissingResource  = -32002 // legacy
	codeURLRequired      = -32042 // legacy
	codeMissingFeature   = -32021 // modern
	codeWrongVersion     = -32022 // modern
	codeFirstReserved    = -32020
	codeLastReserved     = -32099
	unknownClient        = `{"name":"gatehouse","version":"0"}`
	statusNone           = 0 // of an answer over a channel, which has none
	maxSubscriptionItems = 256
)

// with is the text of an object with members set, in turn a name and a text, or left out where the text is
// empty. The other members stay as they were written. v may be absent.
func with(v mcp.Value, members ...string) string {
	set := map[string]string{}
	for i := 0; i < len(members); i += 2 {
		set[members[i]] = members[i+1]
	}
	var b strings.Builder
	add := func(name, text string) {
		b.WriteByte("{,"[min(b.Len(), 1)])
		b.WriteString(name + ":" + text)
	}
	for name, member := range v.Members() {
		text, ok := set[name.String()]
		if !ok {
			text = member.Text()
		}
		if delete(set, name.String()); text != "" {
			add(name.Text(), text)
		}
	}
	for i := 0; i < len(members); i += 2 {
		if text := set[members[i]]; text != "" {
			add(quote(members[i]), text)
			delete(set, members[i])
		}
	}
	if b.Len() == 0 {
		return "{}"
	}
	return b.String() + "}"
}

func sizeOf(texts []string) (size int) {
	for _, text := range texts {
		size += len(text)
	}
	return size
}

func quote(s string) string { return string(mcp.AppendString(nil, s)) }

// plain is the text of an object without the protocol's own members of _meta, and "" if none is left.
func plainMeta(meta mcp.Value) string {
	var drop []string
	for name := range meta.Members() {
		if strings.HasPrefix(name.String(), metaPrefix) {
			drop = append(drop, name.String(), "")
		}
	}
	if text := with(meta, drop...); text != "{}" {
		return text
	}
	return ""
}

func requestText(id, method, params string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"method":` + quote(method) + `,"params":` + params + `}`
}

func notificationText(method, params string) string {
	return `{"jsonrpc":"2.0","method":` + quote(method) + `,"params":` + params + `}`
}

func resultText(id, result string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"result":` + result + `}`
}

// errorText is an error response; data may be empty.
func errorText(id string, code int, message, data string) string {
	if data != "" {
		data = `,"data":` + data
	}
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"error":{"code":%d,"message":%s%s}}`, id, code, quote(message), data)
}

func answered(text string) *mcp.Answer { return &mcp.Answer{Status: http.StatusOK, Text: text} }

func failed(status int, id string, code int, message string) *mcp.Answer {
	return &mcp.Answer{Status: status, Text: errorText(id, code, message, "")}
}

func noMethod(id string) *mcp.Answer {
	return failed(http.StatusNotFound, id, mcp.CodeNoMethod, "method not found")
}

func invalidParams(id, message string) *mcp.Answer {
	return failed(http.StatusBadRequest, id, mcp.CodeInvalidParams, message)
}

// codeOf is the code of an error response, and 0 for anything else.
func codeOf(m *mcp.Message) int {
	code := 0
	_, _ = fmt.Sscan(m.Error.Get("code").Text(), &code) // what is no number is no known code
	return code
}

// A digest stands for a request, whatever the order of its members.
type digest [sha256.Size]byte

// digestOf is that of a method and its params but for what a retry may change.
func digestOf(m *mcp.Message) digest {
	h := sha256.New()
	_, _ = h.Write([]byte(m.Method + "\x00")) // never fails
	members := map[string]mcp.Value{}
	for name, v := range m.Params.Members() {
		switch name.String() {
		case "_meta", "inputResponses", "requestState":
		default:
			members[name.String()] = v
		}
	}
	writeMembers(h, members)
	return digest(h.Sum(nil))
}

func writeMembers(h hash.Hash, members map[string]mcp.Value) {
	_, _ = h.Write([]byte{'{'})
	for _, name := range slices.Sorted(maps.Keys(members)) {
		_, _ = h.Write([]byte(quote(name)))
		writeValue(h, members[name])
	}
	_, _ = h.Write([]byte{'}'})
}

func writeValue(h hash.Hash, v mcp.Value) {
	switch v.Kind() {
	case '{':
		members := map[string]mcp.Value{}
		for name, member := range v.Members() {
			members[name.String()] = member
		}
		writeMembers(h, members)
	case '[':
		_, _ = h.Write([]byte{'['})
		for item := range v.Items() {
			writeValue(h, item)
		}
		_, _ = h.Write([]byte{']'})
	case '"':
		_, _ = h.Write([]byte(quote(v.String())))
	default:
		_, _ = h.Write([]byte(v.Text() + ","))
	}
}
