package deploy

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// dashboard are the queries of the dashboard, by the panel's title.
func dashboard(t testing.TB) map[string]string {
	t.Helper()
	var d struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, root+"/deploy/grafana/gatehouse.json")), &d); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			all[p.Title+" "+target.LegendFormat] = strings.NewReplacer("$__rate_interval", "1m", "$job", "gatehouse").Replace(target.Expr)
		}
	}
	return all
}

// alerts are the expressions of the alerts, by name.
func alerts(t testing.TB) map[string]string {
	t.Helper()
	var file struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, root+"/deploy/prometheus/alerts.yml")), &file); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, r := range file.Groups[0].Rules {
		all[r.Alert] = r.Expr
	}
	return all
}

// Each alert has a test in which it fires, and one in which it does not. promtool runs them in make check.
func TestEveryAlertIsTested(t *testing.T) {
	var file struct {
		Tests []struct {
			Checks []struct {
				Alertname string
				Fires     []any `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, root+"/deploy/prometheus/alerts_test.yml")), &file); err != nil {
		t.Fatal(err)
	}
	fires, quiet := map[string]bool{}, map[string]bool{}
	for _, test := range file.Tests {
		for _, c := range test.Checks {
			fires[c.Alertname] = fires[c.Alertname] || len(c.Fires) > 0
			quiet[c.Alertname] = quiet[c.Alertname] || len(c.Fires) == 0
		}
	}
	for name := range alerts(t) {
		if !fires[name] || !quiet[name] {
			t.Errorf("%s: tested to fire: %v, not to fire: %v", name, fires[name], quiet[name])
		}
	}
}

// ask asks Prometheus, and returns how many series answer.
func (s stack) ask(t testing.TB, query string) int {
	t.Helper()
	resp, err := http.Get(s.prometheus + "/api/v1/query?query=" + url.QueryEscape(query))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var answer struct {
		Status, Error string
		Data          struct{ Result []any }
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Status != "success" {
		t.Fatalf("%s: %v, %s", query, err, answer.Error)
	}
	return len(answer.Data.Result)
}

// await asks until there is an answer.
func (s stack) await(t testing.TB, query string) bool {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		if s.ask(t, query) > 0 {
			return true
		}
		pause := time.NewTimer(100 * time.Millisecond)
		<-pause.C
	}
	return false
}

var metric = regexp.MustCompile(`\b(?:up|(?:gatehouse|policy|process|go)_\w+)\b`)

// The example runs as it is written, and what alerts and dashboard ask for is what the gateway tells.
func TestExample(t *testing.T) {
	s := up(t)
	if got, err := s.call(t, "everything", "echo", map[string]any{"message": "hello"}); err != nil || !strings.Contains(got, "hello") {
		t.Errorf("echo: %s, %v", got, err)
	}
	if got, err := s.call(t, "everything", "get-env", map[string]any{}); err == nil || !strings.Contains(err.Error(), "policy_deny") {
		t.Errorf("get-env: %s, %v", got, err)
	}
	if _, err := s.call(t, "down", "echo", nil); err == nil {
		t.Error("the server that is down answered")
	}
	for panel, query := range dashboard(t) {
		if !s.await(t, query) {
			t.Errorf("the panel %q shows nothing: %s", panel, query)
		}
	}
	write(t, s.bundle, "no bundle")
	for _, query := range []string{
		`gatehouse_info{mode="enforce"} == 1`, `gatehouse_bundle_loaded_timestamp_seconds > time() - 600`,
		`gatehouse_upstream_failures_total{server="down"} > 0`, `gatehouse_bundle_failing == 1`,
		`ALERTS{alertname="GatehouseBundleFailing", alertstate="pending"}`,
	} {
		if !s.await(t, query) {
			t.Errorf("it is not so that %s", query)
		}
	}
	for name, query := range alerts(t) {
		s.ask(t, query)
		for _, m := range metric.FindAllString(query, -1) {
			if !s.await(t, m) {
				t.Errorf("%s asks for %s, which there is not", name, m)
			}
		}
	}
}
