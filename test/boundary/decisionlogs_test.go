package boundary

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
)

// TestSecretsInDecisionLogs sends the same secrets to a gateway that sends its decisions on in OPA's format, and
// writes them to its log as well. None is in what it sends, nor is the token that it sends them with.
func TestSecretsInDecisionLogs(t *testing.T) {
	t.Parallel()
	const token = "K4N4RY-token-"
	var mu sync.Mutex
	var uploaded strings.Builder
	events := 0
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		z, err := gzip.NewReader(r.Body)
		if err != nil || r.Header.Get("Authorization") != "Bearer "+token {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		text, err := io.ReadAll(z)
		var all []json.RawMessage
		if err != nil || json.Unmarshal(text, &all) != nil {
			t.Errorf("%v: %s", err, text)
		}
		mu.Lock()
		defer mu.Unlock()
		uploaded.Write(text)
		events += len(all)
	}))
	t.Cleanup(service.Close)
	gw := startLogged(t, "testdata/allow", one(recorder(t).url), func(config map[string]any) {
		config["audit"].(map[string]any)["decisionLogs"] = map[string]any{
			"url": service.URL + "/v1", "console": true, "uploadSeconds": map[string]any{"min": 0, "max": 1},
			"credentials": map[string]any{"bearer": token},
		}
	})
	for i, l := range leaks {
		fill := strings.NewReplacer("CANARY", secret(i, false), "BASE64(https://u:CANARY@h/p)", secret(i, true))
		headers := map[string]string{}
		for name, value := range l.headers {
			headers[name] = fill.Replace(value)
		}
		post(t, gw.URL+fill.Replace(l.query), posting{l.name, fill.Replace(l.text), headers})
	}
	post(t, gw.URL, posting{"harmless", toolCall(`{"city":"K4N4RY-plain-"}`), nil})
	gw.Stop() // which uploads what waits
	log, err := os.ReadFile(gw.log)
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	written := map[string]string{"uploads": uploaded.String(), "log": string(log)}
	if n := strings.Count(string(log), `"msg":"Decision Log"`); n < len(leaks)/2 || events != n {
		t.Errorf("%d decisions are in the log, and %d were uploaded", n, events)
	}
	for where, text := range written {
		if !strings.Contains(text, "K4N4RY-plain-") {
			t.Errorf("%s: what is harmless is not there", where)
		}
	}
	for i, l := range leaks {
		mustNotHold(t, written, secret(i, false))
		if l.encoded {
			mustNotHold(t, written, secret(i, true))
		}
	}
	mustNotHold(t, written, token)
}
