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
		"profiles without a port":             {flags: servingFlags{metricsAddress: "127.0.0.1", profiling: true}, want: "use --authenticate"},
		"profiles for those who may":          {flags: servingFlags{metricsAddress: ":8080", profiling: true, authenticate: true}},
		"profiles on 127.0.0.1":               {flags: servingFlags{metricsAddress: "127.0.0.1:8080", profiling: true}},
		"profiles on 127.1.2.3":               {flags: servingFlags{metricsAddress: "127.1.2.3:8080", profiling: true}},
		"profiles on ::1":                     {flags: servingFlags{metricsAddress: "[::1]:8080", profiling: true}},
		"profiles on localhost":               {flags: servingFlags{metricsAddress: "localhost:8080", profiling: true}},
		"profiles without metrics":            {flags: servingFlags{metricsAddress: "0", profiling: true}, want: "turned off"},
		"profiles without metrics, for those": {flags: servingFlags{profiling: true, authenticate: true}, want: "turned off"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			err := tc.flags.check()
			if tc.want == "" && err != nil {
				t.Errorf("check: %v, want none", err)
			}
			if tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("check: %v, want an error with %q", err, tc.want)
			}
		})
	}
}
