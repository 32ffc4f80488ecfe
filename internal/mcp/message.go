// Package mcp has the messages of the Model Context Protocol as the gateway
// handles them: their text, unchanged, and one strictly parsed view of it; how
// they are framed; and the errors the gateway answers by itself. It knows
// nothing of policy.
package mcp

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Modern is the first revision of the stateless era. Older revisions open
// sessions with initialize.
const Modern = "2026-07-28"

// Versions are the protocol revisions the gateway carries, the newest first.
var Versions = []string{Modern, "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"}

// Twin is the method by which clients of the other era connect, for one of the
// two, and empty for any other.
func Twin(method string) string {
	switch method {
	case "initialize":
		return "server/discover"
	case "server/discover":
		return "initialize"
	}
	return ""
}

// A Message is one JSON-RPC message. Text is the very text that was parsed:
// whoever forwards a message sends Text, so what travels is what was judged.
type Message struct {
	Text   string
	Root   Value
	ID     Value // absent in a notification
	Method string
	Params Value
	Result Value // of a response, this or Error
	Error  Value
}

// IsRequest reports whether the message asks for a response.
func (m *Message) IsRequest() bool { return m.Method != "" && m.ID.Exists() }

// IsResponse reports whether the message is a response.
func (m *Message) IsResponse() bool { return m.Method == "" }

// Answers reports whether the message is a response to something, and not what
// was never found to be a message.
func (m *Message) Answers() bool { return m.Result.Exists() || m.Error.Exists() }

// IsNotification reports whether the message wants no answer.
func (m *Message) IsNotification() bool { return m.Method != "" && !m.ID.Exists() }

// ParseClient parses a message that a client sent. The envelope is closed, and
// the members that name what will be executed have the type they must have.
func ParseClient(text string) (*Message, *Error) {
	m, bad := parse(text)
	if bad != nil {
		return m, bad
	}
	if m.IsResponse() && !m.ID.Exists() {
		return m, invalid("a response without an id")
	}
	if m.Method != "" {
		if err := checkShape(m); err != nil {
			return m, malformed(CodeInvalidParams, "invalid params", err.Error())
		}
	}
	return m, nil
}

// ParseServer parses a message that a server sent.
func ParseServer(text string) (*Message, *Error) {
	m, bad := parse(text)
	if bad != nil {
		return m, bad
	}
	if m.Result.Exists() && !m.ID.Exists() {
		return m, invalid("a result without an id")
	}
	for _, part := range []Value{m.Params, m.Result} {
		if err := checkContent(part); err != nil {
			return m, invalid(err.Error())
		}
	}
	return m, nil
}

func invalid(cause string) *Error {
	return malformed(CodeInvalidRequest, "invalid request", cause)
}

// parse never returns a nil message: a refused one has what is known of it, so
// that the refusal can carry its id.
func parse(text string) (*Message, *Error) {
	m := &Message{Text: text}
	root, err := ParseValue(text)
	if err != nil {
		return m, malformed(CodeParse, "parse error", err.Error())
	}
	if !root.IsObject() {
		return m, invalid("not an object; batches are not carried")
	}
	m.Root = root
	if err := m.envelope(root); err != nil {
		return m, invalid(err.Error())
	}
	for _, part := range []Value{m.Params, m.Result, m.Error} {
		meta := part.Get("_meta")
		if CheckNames(part) != nil || checkNames(meta, metaNames) != nil {
			return m, invalid(errName.Error())
		}
		related := meta.Get(metaTask)
		if related.Exists() && !isName(related.Get("taskId")) || CheckNames(related) != nil {
			return m, invalid("the related task is not a task")
		}
	}
	return m, nil
}

func (m *Message) envelope(root Value) error {
	var version, method Value
	nullID := false
	for name, v := range root.Members() {
		switch name.String() {
		case "jsonrpc":
			version = v
		case "id":
			if nullID = v.Kind() == 'n'; nullID {
				continue
			}
			if err := checkID(v); err != nil {
				return err
			}
			m.ID = v
		case "method":
			method = v
		case "params":
			m.Params = v
		case "result":
			m.Result = v
		case "error":
			m.Error = v
		default:
			return errors.New("unknown member of the envelope")
		}
	}
	if version.String() != "2.0" {
		return errors.New(`jsonrpc is not "2.0"`)
	}
	if method.Exists() {
		return m.request(method, nullID)
	}
	return m.response()
}

func (m *Message) request(method Value, nullID bool) error {
	switch {
	case !isName(method):
		return errors.New("method is not a name")
	case m.Result.Exists() || m.Error.Exists():
		return errors.New("both a request and a response")
	case nullID:
		return errors.New("id is null")
	case m.Params.Exists() && !m.Params.IsObject():
		return errors.New("params is not an object")
	case strings.HasPrefix(method.String(), "notifications/") == m.ID.Exists():
		return errors.New("a request needs an id, and a notification has none")
	}
	meta := m.Params.Get("_meta")
	if meta.Exists() && !meta.IsObject() {
		return errors.New("_meta is not an object")
	}
	if version := meta.Get(metaVersion); version.Exists() && !isName(version) {
		return errors.New("the protocol version is not a name")
	}
	m.Method = method.String()
	return nil
}

func (m *Message) response() error {
	switch {
	case m.Params.Exists():
		return errors.New("params without a method")
	case m.Result.Exists() == m.Error.Exists():
		return errors.New("neither a request nor a response, or both a result and an error")
	case m.Error.Exists() && !m.Error.IsObject():
		return errors.New("error is not an object")
	case m.Result.Exists() && !m.Result.IsObject():
		return errors.New("result is not an object")
	}
	return nil
}

// checkID lets through what every JSON decoder reads as the same id: a string,
// or an integer within the exact range of a double, plainly written.
func checkID(id Value) error {
	if id.IsString() {
		return nil
	}
	digits := strings.TrimPrefix(id.Text(), "-")
	const largest = "9007199254740992"
	switch {
	case id.Kind() != '0':
		return errors.New("id is neither a string nor a number")
	case strings.ContainsAny(digits, ".eE"):
		return errors.New("id is not an integer")
	case len(digits) > len(largest), len(digits) == len(largest) && digits > largest:
		return errors.New("id is beyond 2^53")
	case id.Text() == "-0":
		return errors.New("id is minus zero")
	}
	return nil
}

// SameID reports whether two ids are equal in type and value.
func SameID(a, b Value) bool {
	if a.IsString() || b.IsString() {
		return a.Kind() == b.Kind() && a.String() == b.String()
	}
	return a.Exists() && b.Exists() && a.Text() == b.Text()
}

// IDKey is one text for all ways to write an id, and no other's.
func IDKey(id Value) string {
	if id.IsString() {
		return `"` + id.String()
	}
	return id.Text()
}

// Cacheable reports whether the results of a method say who may keep them, and for
// how long.
func Cacheable(method string) bool { return cacheable[method] }

var cacheable = map[string]bool{
	"server/discover": true, "tools/list": true, "resources/list": true,
	"resources/templates/list": true, "resources/read": true, "prompts/list": true,
}

// checkShape makes sure that what a request is about can be told.
func checkShape(m *Message) error {
	p := m.Params
	switch m.Method {
	case "tools/call", "prompts/get":
		if !isName(p.Get("name")) {
			return errors.New("name is not a name")
		}
		return checkArguments(p.Get("arguments"))
	case "resources/subscribe", "resources/unsubscribe":
		if uri := p.Get("uri"); uri.Exists() && !isName(uri) {
			return errors.New("uri is not a URI")
		}
	case "resources/read":
		if !isName(p.Get("uri")) {
			return errors.New("uri is not a URI")
		}
	case "tasks/get", "tasks/update", "tasks/cancel", "tasks/result":
		if !isName(p.Get("taskId")) {
			return errors.New("taskId is not an id")
		}
	case "subscriptions/listen":
		return checkFilter(p.Get("notifications"))
	case "completion/complete":
		return checkRef(p.Get("ref"))
	}
	return nil
}

// isName reports whether a value can name something: it is a string, not empty,
// and without the control characters that some readers drop or stop at.
func isName(v Value) bool {
	s := v.String()
	return s != "" && !hasControl(s)
}

func hasControl(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f {
			return strings.ContainsFunc(s[i:], unicode.IsControl)
		}
	}
	return false
}

// checkArguments refuses arguments of which a server that ignores the case of
// names, as Go's encoding/json does for structs, makes one. Below the first
// level names may be data.
func checkArguments(args Value) error {
	if args.Exists() && !args.IsObject() {
		return errors.New("arguments is not an object")
	}
	seen := map[string]bool{}
	for name := range args.Members() {
		s := foldCase(name.String())
		if seen[s] {
			return errors.New("two arguments differ in case only")
		}
		seen[s] = true
	}
	return nil
}

// maxFilter bounds what a listener names: each is judged.
const maxFilter = 256

// checkFilter makes sure that every server listens for the same.
func checkFilter(filter Value) error {
	if err := CheckNames(filter); err != nil {
		return err
	}
	for _, name := range []string{"resourceSubscriptions", "taskIds"} {
		list := filter.Get(name)
		if list.Exists() && list.Kind() != '[' {
			return fmt.Errorf("%s is not an array", name)
		}
		n := 0
		for item := range list.Items() {
			if !isName(item) {
				return fmt.Errorf("%s holds what is no name", name)
			}
			n++
		}
		if n > maxFilter {
			return fmt.Errorf("%s holds more than %d", name, maxFilter)
		}
	}
	return nil
}

// checkContent makes sure that a client finds in params or a result what a
// policy finds: what it asks of the client, and the content that models read.
func checkContent(r Value) error {
	asked := r.Get("inputRequests")
	if asked.Exists() && !asked.IsObject() && asked.Kind() != 'n' {
		return errors.New("inputRequests is not an object")
	}
	for _, request := range asked.Members() {
		params := request.Get("params")
		if !isName(request.Get("method")) || params.Exists() && !params.IsObject() {
			return errors.New("inputRequests holds what is no request")
		}
		if CheckNames(request) != nil {
			return errName
		}
		if err := checkNested(params); err != nil {
			return err
		}
	}
	for _, name := range []string{"content", "contents", "messages"} {
		if err := checkNested(r.Get(name)); err != nil {
			return err
		}
	}
	if outcome := r.Get("result"); r.Get("taskId").Exists() && outcome.IsObject() {
		if err := CheckNames(outcome); err != nil {
			return err
		}
		return checkContent(outcome)
	}
	return nil
}

// checkNested checks the names in content, and in the content that it holds.
func checkNested(v Value) error {
	for item := range v.Items() {
		if err := checkNested(item); err != nil {
			return err
		}
	}
	if err := CheckNames(v); err != nil {
		return err
	}
	for name, m := range v.Members() {
		switch name.String() {
		case "content", "messages", "resource":
			if err := checkNested(m); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkRef(ref Value) error {
	if err := CheckNames(ref); err != nil {
		return err
	}
	switch ref.Get("type").String() {
	case "ref/prompt":
		if isName(ref.Get("name")) && !ref.Get("uri").Exists() {
			return nil
		}
	case "ref/resource":
		if isName(ref.Get("uri")) && !ref.Get("name").Exists() {
			return nil
		}
	}
	return errors.New("ref is neither a prompt nor a resource")
}

// protocolNames are the members that peers look up in params, results and what
// these hold. Some decoders match them without regard to case (encoding/json),
// and some by their names in the peer's own language: the Python SDK from 2.0
// reads input_requests for inputRequests, and meta for _meta.
var protocolNames = func() map[string]string {
	names := folded(protocolMembers)
	names["meta"] = "_meta"
	return names
}()

const protocolMembers = `
	jsonrpc id method params result error code message data
	name arguments uri _meta cursor task taskId ref type argument context level
	requestId reason progressToken progress total protocolVersion capabilities
	clientInfo serverInfo instructions inputResponses inputRequests requestState
	notifications logger content structuredContent isError tools resources
	resourceTemplates prompts messages description contents completion roots
	nextCursor resultType ttlMs cacheScope action model role status
	text blob mimeType resource title annotations icons inputSchema outputSchema
	uriTemplate systemPrompt requestedSchema mode url elicitationId tasks taskIds
	toolsListChanged promptsListChanged resourcesListChanged resourceSubscriptions`

// metaNames are those of _meta, where senders have names of their own as well.
var metaNames = folded(`
	progressToken
	io.modelcontextprotocol/protocolVersion io.modelcontextprotocol/clientInfo
	io.modelcontextprotocol/clientCapabilities io.modelcontextprotocol/logLevel
	io.modelcontextprotocol/subscriptionId io.modelcontextprotocol/serverInfo
	io.modelcontextprotocol/related-task`)

const (
	metaVersion = "io.modelcontextprotocol/protocolVersion"
	metaTask    = "io.modelcontextprotocol/related-task"
)

// folded maps names, folded and as they are, to themselves.
func folded(names string) map[string]string {
	m := map[string]string{}
	for _, n := range strings.Fields(names) {
		m[fold(n)], m[n] = n, n
	}
	return m
}

// foldCase maps names to one form if a decoder that ignores case could take one
// for the other. ToUpper maps U+017F to S, ToLower U+212A to k.
func foldCase(s string) string {
	if isASCII(s) {
		return strings.ToLower(s)
	}
	return strings.ToLower(strings.ToUpper(s))
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// fold is foldCase for decoders that ignore separators of words too.
func fold(s string) string {
	s = foldCase(s)
	if len(s) > 1 && strings.ContainsAny(s[1:], "_-") {
		s = s[:1] + wordless.Replace(s[1:])
	}
	return s
}

var wordless = strings.NewReplacer("_", "", "-", "")

var errName = errors.New("a member could be taken for a protocol member")

// CheckNames refuses an object with members that fold to a protocol member
// without being it.
func CheckNames(object Value) error { return checkNames(object, protocolNames) }

func checkNames(object Value, names map[string]string) error {
	for name := range object.Members() {
		s := name.String()
		if names[s] == s {
			continue // without folding
		}
		if exact, ok := names[fold(s)]; ok && exact != s {
			return errName
		}
	}
	return nil
}

// Target is the name, URI or id of what a request is about: the value that
// the Mcp-Name header mirrors. It is empty for methods that have none.
func (m *Message) Target() string {
	switch m.Method {
	case "tools/call", "prompts/get":
		return m.Params.Get("name").String()
	case "resources/read":
		return m.Params.Get("uri").String()
	case "tasks/get", "tasks/update", "tasks/cancel":
		return m.Params.Get("taskId").String()
	}
	return ""
}

// RelatedTask is the id of the task that the message says it belongs to, if any.
func (m *Message) RelatedTask() Value {
	meta := m.Params.Get("_meta")
	if m.Result.Exists() {
		meta = m.Result.Get("_meta")
	}
	return meta.Get(metaTask).Get("taskId")
}

// Version is the protocol revision that the message itself states, if any.
func (m *Message) Version() string {
	return m.Params.Get("_meta").Get(metaVersion).String()
}
