package config

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestClosest(t *testing.T) {
	fields := []string{"watch", "handler", "mode", "workers", "resync", "retry", "timeout", "leaderElection", "paused"}
	tests := map[string]string{
		"wokers":          "workers",
		"Workers":         "workers",
		"leader_election": "leaderElection",
		"leader-election": "leaderElection",
		"modes":           "mode",
		"wtach":           "watch",
		"tiemout":         "timeout",
		"x":               "",
		"":                "",
		"finalizer":       "",
		"workersworkers":  "",
	}
	for name, want := range tests {
		if have := closest(name, fields); have != want {
			t.Errorf("closest(%q) is %q, want %q", name, have, want)
		}
	}
}

func TestPathString(t *testing.T) {
	tests := map[string]struct {
		path path
		want string
	}{
		"root":    {nil, ""},
		"names":   {path{"controllers", "pods-a", "watch"}, "controllers.pods-a.watch"},
		"indices": {path{"a", "[0]", "[12]", "b"}, "a[0][12].b"},
		"quoted":  {path{"a", "b.c", "", "é"}, `a."b.c".""."é"`},
	}
	for name, tc := range tests {
		if have := tc.path.String(); have != tc.want {
			t.Errorf("%s: %q, want %q", name, have, tc.want)
		}
	}
}

func TestParsePath(t *testing.T) {
	tests := map[string]path{
		"":               nil,
		"argv[0]":        {"argv", "[0]"},
		"env.PATH":       {"env", "PATH"},
		`env."my-name"`:  {"env", "my-name"},
		"env.my-name":    {"env.my-name"},
		"headers[1].key": {"headers", "[1]", "key"},
	}
	for text, want := range tests {
		if diff := cmp.Diff(want, parsePath(text)); diff != "" {
			t.Errorf("parsePath(%q) (-want +have):\n%s", text, diff)
		}
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", time.Minute: "1m", time.Hour: "1h", 90 * time.Second: "1m30s", time.Hour + time.Second: "1h0m1s",
		1500 * time.Microsecond: "1.5ms", 10 * time.Second: "10s", 100 * time.Minute: "1h40m",
	} {
		if have := short(d); have != want {
			t.Errorf("short(%d) is %q, want %q", d, have, want)
		}
		if back, err := time.ParseDuration(short(d)); err != nil || back != d {
			t.Errorf("short(%d) reads back as %s (%v)", d, back, err)
		}
	}
}

func TestDurationHint(t *testing.T) {
	for text, want := range map[string]string{
		"30": `did you mean "30s"?`, "5 minutes": `did you mean "5m"?`, "1d": `did you mean "24h"?`, "2 DAYS": `did you mean "48h"?`,
		"100 msec": `did you mean "100ms"?`, "1.5 hours": `did you mean "1.5h"?`, "fast": "", "": "", "5 parsecs": "",
	} {
		if have := durationHint(text); have != want {
			t.Errorf("durationHint(%q) is %q, want %q", text, have, want)
		}
	}
}
