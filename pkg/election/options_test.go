package election

import (
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
)

func TestTimings(t *testing.T) {
	tests := map[string]struct {
		lease, renew, retry time.Duration
		wrong               string // part of the message; empty when the timings are safe
	}{
		"defaults":                       {0, 0, 0, ""},
		"Kubernetes components":          {15 * time.Second, 10 * time.Second, 2 * time.Second, ""},
		"OpenShift":                      {137 * time.Second, 107 * time.Second, 26 * time.Second, ""},
		"Flux":                           {35 * time.Second, 30 * time.Second, 5 * time.Second, ""},
		"fast":                           {3 * time.Second, 2 * time.Second, time.Second, ""},
		"fastest":                        {2 * time.Second, time.Second, 500 * time.Millisecond, ""},
		"no time to stop":                {11 * time.Second, 10 * time.Second, 2 * time.Second, "at most 9.625s"},
		"less than a second to stop":     {3 * time.Second, 2500 * time.Millisecond, time.Second, "at most 2s"},
		"deadline after the lease":       {15 * time.Second, 20 * time.Second, 2 * time.Second, "renewDeadline"},
		"fractions of a second":          {1500 * time.Millisecond, 500 * time.Millisecond, 100 * time.Millisecond, "whole seconds"},
		"half a second":                  {500 * time.Millisecond, 300 * time.Millisecond, 100 * time.Millisecond, "whole seconds"},
		"no time for a second attempt":   {15 * time.Second, 10 * time.Second, 8 * time.Second, "retryPeriod"},
		"negative":                       {-15 * time.Second, 10 * time.Second, 2 * time.Second, "positive"},
		"negative retry":                 {15 * time.Second, 10 * time.Second, -time.Second, "positive"},
		"flood":                          {15 * time.Second, 10 * time.Second, time.Millisecond, "50ms"},
		"longer than the lease can hold": {100 * 365 * 24 * time.Hour, 10 * time.Second, 2 * time.Second, "32 bits"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := New(Options{
				Namespace: "ns", Name: "n", Identity: "i", Leases: newLink(newServer()),
				LeaseDuration: tt.lease, RenewDeadline: tt.renew, RetryPeriod: tt.retry,
			})
			switch {
			case tt.wrong == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tt.wrong != "" && (err == nil || !strings.Contains(err.Error(), tt.wrong)):
				t.Errorf("got %v, want something about %q", err, tt.wrong)
			}
		})
	}
}

func TestEverySafeTimingLeavesRoom(t *testing.T) {
	for lease := 2 * time.Second; lease <= 60*time.Second; lease += time.Second {
		for renew := 200 * time.Millisecond; renew < lease; renew += 300 * time.Millisecond {
			for retry := 50 * time.Millisecond; retry < renew; retry += 250 * time.Millisecond {
				o := Options{LeaseDuration: lease, RenewDeadline: renew, RetryPeriod: retry}
				if o.checkTimings() != nil {
					continue
				}
				if o.requestTimeout() <= 0 || o.requestTimeout() > retry {
					t.Fatalf("%v: a request may take %s", o, o.requestTimeout())
				}
				if retry+2*o.requestTimeout() > renew {
					t.Fatalf("%s/%s/%s: no second attempt", lease, renew, retry)
				}
				if renew+o.margin() > lease {
					t.Fatalf("%s/%s/%s: the margin is %s", lease, renew, retry, o.margin())
				}
			}
		}
	}
}

func TestMissingOptions(t *testing.T) {
	_, err := New(Options{})
	if err == nil {
		t.Fatal("nothing is missing")
	}
	for _, part := range []string{"namespace", "name", "identity", "client"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("nothing about the %s in: %v", part, err)
		}
	}
}

func TestDefaults(t *testing.T) {
	o := Options{}.withDefaults()
	if o.LeaseDuration != 15*time.Second || o.RenewDeadline != 10*time.Second || o.RetryPeriod != 2*time.Second {
		t.Errorf("%s/%s/%s", o.LeaseDuration, o.RenewDeadline, o.RetryPeriod)
	}
	if o.Clock == nil || o.Logger != logr.Discard() {
		t.Error("no clock or no logger")
	}
	before := read(o.Clock)
	if got := before.until(read(o.Clock)); got < 0 || got > time.Minute {
		t.Errorf("the machine's clock went on by %s", got)
	}
}

func TestIdentity(t *testing.T) {
	if got, err := Identity("pod-1", "uid-1"); err != nil || got != "pod-1_uid-1" {
		t.Errorf("in a pod: %q, %v", got, err)
	}
	for name, args := range map[string][2]string{"nothing": {"", ""}, "no uid": {"pod-1", ""}, "no name": {"", "uid-1"}} {
		t.Run(name, func(t *testing.T) {
			a, errA := Identity(args[0], args[1])
			b, errB := Identity(args[0], args[1])
			if errA != nil || errB != nil || a == b || !strings.Contains(a, "_") {
				t.Errorf("got %q and %q, %v, %v", a, b, errA, errB)
			}
		})
	}
}

func TestClockUntil(t *testing.T) {
	now := time.Now()
	at := func(boot, wall time.Duration) instant { return instant{boot: boot, wall: now.Add(wall)} }
	tests := map[string]struct {
		later instant
		want  time.Duration
	}{
		"both":         {at(time.Second, time.Second), time.Second},
		"suspended":    {at(time.Hour, time.Second), time.Hour},
		"wall forward": {at(time.Second, time.Hour), time.Hour},
		"wall back":    {at(time.Second, -time.Hour), time.Second},
		"both back":    {at(-time.Second, -time.Hour), 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := at(0, 0).until(tt.later); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestWallReadingHasNoMonotonicPart(t *testing.T) {
	got := read(newSystemClock()).wall
	if strings.Contains(got.String(), "m=") {
		t.Errorf("%v carries a monotonic reading, which hides suspension", got)
	}
}

func BenchmarkRemaining(b *testing.B) {
	e, err := New(Options{Namespace: "ns", Name: "n", Identity: "i", Leases: newLink(newServer())})
	if err != nil {
		b.Fatal(err)
	}
	e.validity.Store(&validity{sent: e.now(), limit: time.Hour})
	for b.Loop() {
		if e.Remaining() == 0 {
			b.Fatal("not leading")
		}
	}
}
