package boundary

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// A turncoat is a server that changes its era from message to message, or has none. It notes what it executes.
// As a server of the older era it asks in the middle of half the calls of those who can answer.
type turncoat struct {
	url string

	mu       sync.Mutex
	r        *rand.Rand
	era      string
	sessions int
	executed map[string]int // by the name of the tool
	waits    map[string]chan struct{}
}

func newTurncoat(t *testing.T) *turncoat {
	s := &turncoat{
		r: rand.New(rand.NewPCG(20260728, 12)), era: modern, executed: map[string]int{}, waits: map[string]chan struct{}{},
	}
	l := httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(func() {
		l.CloseClientConnections()
		l.Close()
	})
	s.url = l.URL + "/mcp"
	return s
}

// asked is what the server knows of a message.
type asked struct {
	ID     json.RawMessage
	Method string
	Params struct {
		Name            string
		ProtocolVersion string
		Capabilities    struct{ Elicitation any }
	}
}

func (s *turncoat) serve(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	var m asked
	if err != nil || len(text) > 0 && json.Unmarshal(text, &m) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	era, chance := s.mood(), s.r.IntN(100)
	s.mu.Unlock()
	spoken := max(r.Header.Get("Mcp-Protocol-Version"), legacy)
	switch {
	case m.Method == "" && len(text) > 0:
		s.hear(string(m.ID))
		w.WriteHeader(http.StatusAccepted)
	case m.ID == nil:
		w.WriteHeader(http.StatusAccepted)
	case era == "none" || chance < 10:
		s.refuse(w, &m, chance)
	case m.Method == "initialize" && era != modern:
		s.open(w, &m)
	case m.Method == "server/discover" && era == modern:
		reply(w, &m, `"result":{`+results["server/discover"]+`}`)
	case spoken != era:
		s.refuse(w, &m, 4)
	case era == legacy && chance < 55 && strings.HasSuffix(r.Header.Get("Mcp-Session-Id"), "true"):
		s.ask(w, r, &m, chance%2 == 0)
	default:
		s.execute(&m)
		reply(w, &m, s.result(&m, chance))
	}
}

// mood is the era of the moment. The lock is held.
func (s *turncoat) mood() string {
	if n := s.r.IntN(12); n < 3 {
		s.era = []string{modern, legacy, "none"}[n]
	} else if s.era == "none" {
		s.era = legacy
	}
	return s.era
}

func (s *turncoat) execute(m *asked) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.executed[m.Params.Name]++
}

func (*turncoat) result(m *asked, chance int) string {
	text := "harmless " + m.Params.Name + "."
	if chance > 90 {
		text += canary
	}
	return `"result":{"resultType":"complete","content":[{"type":"text","text":"` + text + `"}]}`
}

func (*turncoat) refuse(w http.ResponseWriter, m *asked, how int) {
	switch how % 7 {
	case 0:
		reply(w, m, `"error":{"code":-32601,"message":"`+canary+`"}`)
	case 1:
		_, _ = io.WriteString(w, "{garbage "+canary) // for the gateway
	case 2:
		reply(w, m, `"result":{"supportedVersions":["1999-01-01"]}`)
	case 3:
		w.WriteHeader(http.StatusNotFound)
	default:
		w.WriteHeader(http.StatusBadRequest)
	}
}

func (s *turncoat) open(w http.ResponseWriter, m *asked) {
	s.mu.Lock()
	s.sessions++
	w.Header().Set("Mcp-Session-Id", fmt.Sprint(s.sessions, " ", m.Params.Capabilities.Elicitation != nil))
	s.mu.Unlock()
	reply(w, m, `"result":{"protocolVersion":"`+legacy+`",`+capabilities+`}`)
}

// ask asks in the middle of a call, and ends it once it is answered.
func (s *turncoat) ask(w http.ResponseWriter, r *http.Request, m *asked, harmless bool) {
	s.execute(m)
	message := "which?"
	if !harmless {
		message = canary
	}
	id := `"ask-` + m.Params.Name + `"`
	waits := make(chan struct{})
	s.mu.Lock()
	s.waits[id] = waits
	s.mu.Unlock()
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = fmt.Fprintf(w, "data: {\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"elicitation/create\",\"params\":{\"message\":%q,\"requestedSchema\":{\"type\":\"object\",\"properties\":{}}}}\n\n", id, message) // for the gateway
	_ = http.NewResponseController(w).Flush()
	select {
	case <-waits:
	case <-r.Context().Done():
		return
	}
	_, _ = fmt.Fprintf(w, "data: {\"jsonrpc\":\"2.0\",\"id\":%s,%s}\n\n", m.ID, s.result(m, 0)) // for the gateway
}

func (s *turncoat) hear(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if waits := s.waits[id]; waits != nil {
		close(waits)
		delete(s.waits, id)
	}
}

func reply(w http.ResponseWriter, m *asked, members string) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,%s}`, m.ID, members) // for the gateway
}

// A traitor's victim is a client of it: what it sent, and what it read.
type victim struct {
	url, key string
	legacy   bool
	sent     int
	read     []string
}

var requestState = regexp.MustCompile(`"requestState":"([^"]*)"`)

// call calls a tool. A client of the newer era that is asked something tries what it should not before it answers.
func (v *victim) call(t *testing.T, name string, n int) {
	if v.legacy {
		p := &principal{}
		given := v.say(t, v.key, opening, nil)
		if _, rest, ok := strings.Cut(given, "Mcp-Session-Id: "); ok {
			p.session, _, _ = strings.Cut(rest, "\r\n")
		}
		v.say(t, v.key, v.message(name, ""), p.headers())
		return
	}
	given := v.say(t, v.key, v.message(name, ""), nil)
	state := requestState.FindStringSubmatch(given)
	if state == nil {
		return
	}
	const answer = `,"inputResponses":{"input":{"action":"accept","content":{}}},"requestState":"%s"`
	mine := fmt.Sprintf(answer, state[1])
	switch n % 5 {
	case 0:
		v.say(t, v.key, v.message("other-"+name, mine), nil)
	case 1:
		v.say(t, "key-of-mallory", v.message(name, mine), nil)
	case 2:
		v.say(t, v.key, v.message(name, fmt.Sprintf(answer, state[1][:len(state[1])/2])), nil)
	case 3:
		v.say(t, v.key, v.message(name, fmt.Sprintf(answer, strings.Repeat(state[1], 10_000))), nil)
	}
	var twice sync.WaitGroup
	var again victim
	if n%2 == 0 {
		again = victim{url: v.url, key: v.key}
		twice.Go(func() { again.say(t, v.key, v.message(name, mine), nil) })
	}
	v.say(t, v.key, v.message(name, mine), nil)
	twice.Wait()
	v.sent, v.read = v.sent+again.sent, append(v.read, again.read...)
}

func (v *victim) message(name, more string) string {
	meta := ""
	if !v.legacy {
		meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"` + modern + `","io.modelcontextprotocol/clientCapabilities":{"elicitation":{}}},`
	}
	return `{"jsonrpc":"2.0","id":"` + name + `","method":"tools/call","params":{` + meta + `"name":"` + name + `"` + more + `}}`
}

func (v *victim) say(t *testing.T, key, text string, headers map[string]string) string {
	h := map[string]string{}
	for name, value := range headers {
		h[name] = value
	}
	h["Authorization"] = "Bearer " + key
	if !v.legacy {
		h["Mcp-Protocol-Version"], h["Mcp-Method"] = modern, "tools/call"
		_, rest, _ := strings.Cut(text, `"id":"`)
		h["Mcp-Name"], _, _ = strings.Cut(rest, `"`)
	}
	given := exchange(t, http.MethodPost, v.url, posting{text: text, headers: h})
	v.sent, v.read = v.sent+1, append(v.read, given)
	return given
}

// TestTurncoat has clients of both eras call a server that changes its era all the time. What it executes was
// judged, under that name, and no more often; what clients read was judged; each message has its records.
func TestTurncoat(t *testing.T) {
	t.Parallel()
	s := newTurncoat(t)
	gw := startWithKeys(t, s.url, "testdata/guard", "alice", "bob", "mallory")
	var victims [8]victim
	var all sync.WaitGroup
	for i := range victims {
		v := &victims[i]
		*v = victim{url: gw.URL, key: "key-of-" + []string{"alice", "bob"}[i%2], legacy: i%4 > 1}
		all.Go(func() {
			for n := range 60 {
				name := fmt.Sprintf("tool-%d-%d", i, n)
				if n%5 == 4 {
					name = hidden + name
				}
				v.call(t, name, n)
			}
		})
	}
	all.Wait()
	sent, read := 0, ""
	for i := range victims {
		sent, read = sent+victims[i].sent, read+strings.Join(victims[i].read, "\n")
	}
	checkTurncoat(t, s, openJournal(t, gw).next(t), sent, read)
}

func checkTurncoat(t *testing.T, s *turncoat, records []record, sent int, read string) {
	t.Helper()
	messages, allowed, answers := 0, map[string]int{}, 0
	for _, r := range records {
		switch {
		case r.Phase == "response", r.Phase == "server_request" && r.Outcome == "deny": // which takes the whole with it
			answers++
		case r.Phase == "request":
			messages++
			if r.Outcome == "allow" {
				allowed[r.Tool]++
			}
		}
	}
	judged := 0
	for _, n := range allowed {
		judged += n
	}
	if messages != sent || answers != judged {
		t.Errorf("%d messages, %d records of them; %d were allowed, %d records of what came of them", sent, messages, judged, answers)
	}
	if strings.Contains(read, canary) {
		t.Error("a client was given the canary")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	done := 0
	for name, n := range s.executed {
		done += n
		if n > allowed[name] || strings.HasPrefix(name, hidden) {
			t.Errorf("%s was executed %d times, and allowed %d times", name, n, allowed[name])
		}
	}
	for _, told := range regexp.MustCompile(`harmless ([^.]*)\.`).FindAllStringSubmatch(read, -1) {
		if s.executed[told[1]] == 0 {
			t.Errorf("a client was told of %s, which was not executed", told[1])
		}
	}
	harmless := strings.Count(read, "harmless")
	t.Logf("%d messages, %d allowed, %d executed, %d told, %d sessions, %d asked", sent, judged, done, harmless, s.sessions, strings.Count(read, "input_required"))
	if done < 50 || harmless < 50 || !strings.Contains(read, "input_required") {
		t.Error("too little to compare")
	}
}
