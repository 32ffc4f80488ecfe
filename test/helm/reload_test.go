package helm

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

// A call of the tool echo, as a client of the newest revision makes it.
const echo = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{},"_meta":{` +
	`"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`

// The gateway that the chart installs obeys the policies of its ConfigMap, and others when that changes, without a
// restart. What helm test asks is answered.
func TestInstallAndChangePolicy(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"echoed"}]}}`)
	}))
	defer upstream.Close()
	with := func(allowed string) *release {
		return parse(t, render(t, "extended",
			"--set", "mcpServers.weather.url="+upstream.URL+"/mcp",
			"--set", "policy.onMissing=deny,policy.pollSeconds=1,policy.timeoutMs=5000",
			// Only at a loopback address, where the pod's are not, does the gateway mind how it is called.
			"--set", "config.origins={http://gw-gatehouse:8080,http://gw-gatehouse-admin:8081}",
			"--set", "policy.starter.data.roles.reader.tools.weather.echo="+allowed))
	}
	n, first := newNode(t, harness.Build(t, "github.com/gatehouse-mcp/gatehouse/cmd/gatehouse")), with("false")
	mcp, admin := "127.0.0.1:"+harness.FreePort(t), "127.0.0.1:"+harness.FreePort(t)
	gw := harness.Start(t, n.command(t, first, only(t, first.Workload).Spec.Template, "--listen", mcp, "--admin", admin))
	client := &http.Client{Transport: cluster(t, first, mcp, admin)}
	gw.Await(t, "/readyz", func() bool {
		resp, err := client.Get("http://gw-gatehouse-admin:8081/readyz")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	if out, err := helmTest(t, first, client); err != nil {
		t.Errorf("helm test: %v\n%s", err, out)
	}
	if status, answer := call(t, client); status != http.StatusForbidden || !strings.Contains(answer, "role_mismatch") {
		t.Errorf("before: %d %s", status, answer)
	}
	second := with("true")
	if before, now := first.ConfigMap["gw-gatehouse"].Data, second.ConfigMap["gw-gatehouse"].Data; before["gatehouse.yaml"] != now["gatehouse.yaml"] {
		t.Error("another policy is another configuration: the pods would be replaced")
	}
	n.mount(t, filepath.Join(n.root, "etc/gatehouse/policy"), second.ConfigMap["gw-gatehouse-policy"].Data)
	gw.Await(t, "the new policy", func() bool { status, _ := call(t, client); return status == http.StatusOK })
	if strings.Contains(gw.Output(), "bundle refused") {
		t.Error("a bundle was refused")
	}
	gw.Stop()
	if out, err := helmTest(t, first, client); err == nil {
		t.Errorf("helm test passes without a gateway:\n%s", out)
	}
}

// helmTest runs the container of helm test that asks the Services.
func helmTest(t testing.TB, r *release, client *http.Client) ([]byte, error) {
	t.Helper()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		resp, err := client.Get(r.URL.String())
		if err != nil {
			w.WriteHeader(http.StatusGone) // after a 502 curl would wait and try again
			return
		}
		defer func() { _ = resp.Body.Close() }()
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
	}))
	defer proxy.Close()
	c := only(t, r.Pod).Spec.Containers[1]
	cmd := exec.Command(c.Command[0], c.Args...)
	cmd.Env = append(os.Environ(), "http_proxy="+proxy.URL, "no_proxy=")
	return cmd.CombinedOutput()
}

// cluster leads to the gateway's listeners by the names and ports of the Services.
func cluster(t testing.TB, r *release, mcp, admin string) *http.Transport {
	t.Helper()
	at := map[string]string{}
	for name, s := range r.Service {
		for _, p := range s.Spec.Ports {
			at[net.JoinHostPort(name, strconv.Itoa(p.Port))] = map[string]string{"mcp": mcp, "admin": admin}[p.TargetPort]
		}
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, at[address])
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// call calls the tool through the Service, and returns status and answer.
func call(t testing.TB, client *http.Client) (int, string) {
	t.Helper()
	at := url.URL{Scheme: "http", Host: "gw-gatehouse:8080", Path: "/servers/weather/mcp"}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, at.String(), strings.NewReader(echo))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{
		"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"},
		"Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {"tools/call"}, "Mcp-Name": {"echo"},
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}
