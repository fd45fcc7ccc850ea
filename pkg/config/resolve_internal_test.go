package config

import (
	"testing"
	"time"
)

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
