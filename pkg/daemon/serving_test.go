package daemon

import (
	"strings"
	"testing"
)

func TestServingFlags(t *testing.T) {
	tests := map[string]struct {
		flags servingFlags
		want  string // in the error; empty means none
	}{
		"defaults":                            {flags: servingFlags{metricsAddress: ":8080"}},
		"certificate and key":                 {flags: servingFlags{metricsAddress: ":8080", certFile: "a", keyFile: "b"}},
		"certificate alone":                   {flags: servingFlags{metricsAddress: ":8080", certFile: "a"}, want: "belong together"},
		"key alone":                           {flags: servingFlags{metricsAddress: ":8080", keyFile: "b"}, want: "belong together"},
		"key alone, no metrics":               {flags: servingFlags{metricsAddress: "0", keyFile: "b"}, want: "belong together"},
		"profiles for everybody":              {flags: servingFlags{metricsAddress: ":8080", profiling: true}, want: "use --authenticate"},
		"profiles for everybody, by name":     {flags: servingFlags{metricsAddress: "example.com:8080", profiling: true}, want: "use --authenticate"},
		"profiles for everybody, any IPv4":    {flags: servingFlags{metricsAddress: "0.0.0.0:8080", profiling: true}, want: "use --authenticate"},
		"profiles for everybody, any IPv6":    {flags: servingFlags{metricsAddress: "[::]:8080", profiling: true}, want: "use --authenticate"},
		"profiles for everybody, TLS":         {flags: servingFlags{metricsAddress: ":8080", profiling: true, certFile: "a", keyFile: "b"}, want: "use --authenticate"},
		"profiles for those who may":          {flags: servingFlags{metricsAddress: ":8080", profiling: true, authenticate: true}},
		"profiles on 127.0.0.1":               {flags: servingFlags{metricsAddress: "127.0.0.1:8080", profiling: true}},
		"profiles on 127.1.2.3":               {flags: servingFlags{metricsAddress: "127.1.2.3:8080", profiling: true}},
		"profiles on ::1":                     {flags: servingFlags{metricsAddress: "[::1]:8080", profiling: true}},
		"profiles on localhost":               {flags: servingFlags{metricsAddress: "localhost:8080", profiling: true}},
		"profiles without metrics":            {flags: servingFlags{metricsAddress: "0", profiling: true}, want: "turned off"},
		"profiles without metrics, for those": {flags: servingFlags{metricsAddress: "0", profiling: true, authenticate: true}, want: "turned off"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			tc.flags.healthAddress = ":8081"
			err := tc.flags.check(t.Context())
			if tc.want == "" && err != nil {
				t.Errorf("check: %v, want none", err)
			}
			if tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("check: %v, want an error with %q", err, tc.want)
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	tests := map[string]struct{ metrics, health, want string }{
		"defaults":              {metrics: ":8080", health: ":8081"},
		"off":                   {metrics: "0", health: "0"},
		"any port, twice":       {metrics: "127.0.0.1:0", health: "127.0.0.1:0"},
		"same port, two hosts":  {metrics: "127.0.0.1:8080", health: "127.0.0.2:8080"},
		"IPv6":                  {metrics: "[::1]:8080", health: "localhost:8081"},
		"without a port":        {metrics: "127.0.0.1", health: "0", want: `--metrics-bind-address is "127.0.0.1", want HOST:PORT or :PORT, such as "127.0.0.1:8080", or "0" to turn the server off`},
		"a word":                {metrics: ":8080", health: "off", want: `--health-probe-bind-address is "off", want HOST:PORT or :PORT, such as ":8080", or "0" to turn the server off`},
		"a URL":                 {metrics: "http://localhost:9090/metrics", health: "0", want: `such as "localhost:9090"`},
		"IPv6 without brackets": {metrics: "::1:8080", health: "0", want: `such as "[::1]:8080"`},
		"a port alone":          {metrics: "9090", health: "0", want: `such as ":9090"`},
		"a large port":          {metrics: ":80800", health: "0", want: `such as ":8080"`},
		"empty":                 {metrics: "", health: "0", want: "--metrics-bind-address is empty; to turn the server off use --metrics-bind-address=0"},
		"the same":              {metrics: ":8080", health: ":8080", want: "two servers cannot listen on one address"},
		"the same, any host":    {metrics: "127.0.0.1:8080", health: ":8080", want: "two servers cannot listen on one address"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			flags := servingFlags{metricsAddress: tc.metrics, healthAddress: tc.health}
			err := flags.check(t.Context())
			if tc.want == "" && err != nil {
				t.Errorf("check: %v, want none", err)
			}
			if tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("check: %v, want an error with %q", err, tc.want)
			}
		})
	}
}
