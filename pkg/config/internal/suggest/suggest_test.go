package suggest

import "testing"

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
		if have := Closest(name, fields); have != want {
			t.Errorf("closest(%q) is %q, want %q", name, have, want)
		}
	}
}

func TestDurationHint(t *testing.T) {
	for text, want := range map[string]string{
		"30": `did you mean "30s"?`, "5 minutes": `did you mean "5m"?`, "1d": `did you mean "24h"?`, "2 DAYS": `did you mean "48h"?`,
		"100 msec": `did you mean "100ms"?`, "1.5 hours": `did you mean "1.5h"?`, "fast": "", "": "", "5 parsecs": "",
	} {
		if have := DurationHint(text); have != want {
			t.Errorf("durationHint(%q) is %q, want %q", text, have, want)
		}
	}
}
