package trace

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	endpoint       = "OTEL_EXPORTER_OTLP_ENDPOINT"
	tracesEndpoint = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
)

func fromEnv(pairs ...string) (*Config, error) {
	env := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		env[pairs[i]] = pairs[i+1]
	}
	return FromEnv(func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	})
}

func TestFromEnv(t *testing.T) {
	plain := func(endpoint string) *Config {
		return &Config{Endpoint: endpoint, Header: http.Header{}, Timeout: 10 * time.Second}
	}
	all := plain("http://c:4318/v1/traces")
	all.Header = http.Header{"Authorization": {"Basic a=b"}, "X-Tenant": {"1"}}
	all.Timeout, all.Gzip, all.CA, all.Certificate, all.Key = 250*time.Millisecond, true, "ca", "cert", "key"
	for name, c := range map[string]struct {
		env  []string
		want *Config
	}{
		"nothing":         {nil, nil},
		"empty":           {[]string{endpoint, ""}, nil},
		"base":            {[]string{endpoint, "http://c:4318"}, plain("http://c:4318/v1/traces")},
		"base with slash": {[]string{endpoint, "http://c:4318/"}, plain("http://c:4318/v1/traces")},
		"base with path":  {[]string{endpoint, "https://c/otlp?x=y"}, plain("https://c/otlp/v1/traces?x=y")},
		"as it is":        {[]string{tracesEndpoint, "http://c/spans", endpoint, "http://d"}, plain("http://c/spans")},
		"off":             {[]string{endpoint, "http://c", "OTEL_SDK_DISABLED", "TRUE"}, nil},
		"not off":         {[]string{endpoint, "http://c", "OTEL_SDK_DISABLED", "false"}, plain("http://c/v1/traces")},
		"no traces":       {[]string{endpoint, "http://c", "OTEL_TRACES_EXPORTER", "none"}, nil},
		"off and wrong":   {[]string{endpoint, "c", "OTEL_SDK_DISABLED", "true"}, nil},
		"all": {[]string{
			endpoint, "http://c:4318", "OTEL_TRACES_EXPORTER", "otlp", general + "PROTOCOL", "grpc", special + "PROTOCOL", "http/protobuf",
			general + "HEADERS", " authorization = Basic%20a=b,x-tenant=1", general + "TIMEOUT", "9", special + "TIMEOUT", "250",
			general + "COMPRESSION", "gzip", general + "CERTIFICATE", "ca", general + "CLIENT_CERTIFICATE", "cert", general + "CLIENT_KEY", "key",
		}, all},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := fromEnv(c.env...)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestBadEnv(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{endpoint, "c:4318", endpoint + ": not a URL"},
		{endpoint, "grpc://secret@c:4317", endpoint + ": not a URL"},
		{tracesEndpoint, "http://", tracesEndpoint + ": not a URL"},
		{tracesEndpoint, "http://\x00", tracesEndpoint + ": not a URL"},
		{"OTEL_TRACES_EXPORTER", "jaeger", `"jaeger" is neither otlp nor none`},
		{general + "PROTOCOL", "grpc", general + `PROTOCOL: "grpc" is not http/protobuf`},
		{special + "PROTOCOL", "http/json", special + `PROTOCOL: "http/json" is not http/protobuf`},
		{general + "HEADERS", "secret", general + "HEADERS: not name=value"},
		{general + "HEADERS", "a=%zzsecret", general + "HEADERS: not name=value"},
		{general + "HEADERS", "a=secret%0d%0aX-Evil: 1", general + "HEADERS: not name=value"},
		{general + "HEADERS", "a b=secret", general + "HEADERS: not name=value"},
		{special + "TIMEOUT", "10s", special + `TIMEOUT: "10s" is no number of milliseconds`},
		{special + "TIMEOUT", "0", special + `TIMEOUT: "0" is no number of milliseconds`},
		{special + "COMPRESSION", "zstd", special + `COMPRESSION: "zstd" is neither gzip nor none`},
		{special + "CLIENT_KEY", "key", "there is only one of them"},
	} {
		got, err := fromEnv(endpoint, "http://c", c.name, c.value)
		if got != nil || err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s=%q: %v, want %q", c.name, c.value, err, c.want)
		}
	}
}
