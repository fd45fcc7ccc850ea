package webhook

import (
	"net/http"
	"testing"
	"time"

	"kooperd.dev/kooperd/pkg/handlers"
)

func TestRetryAfter(t *testing.T) {
	now := newClock().Now()
	tests := map[string]time.Duration{
		"":                     0,
		"7":                    7 * time.Second,
		"\t7\t":                7 * time.Second,
		"0":                    0,
		"-1":                   0,
		"1.5":                  0,
		"soon":                 0,
		"99999999999":          time.Hour,
		"99999999999999999999": 0,
		now.Add(time.Minute).Format(http.TimeFormat):    time.Minute,
		now.Add(-time.Hour).Format(http.TimeFormat):     0,
		now.Add(48 * time.Hour).Format(http.TimeFormat): time.Hour,
	}
	for text, want := range tests {
		if got := retryAfter(http.Header{"Retry-After": {text}}, now); got != want {
			t.Errorf("retryAfter(%q) = %s, want %s", text, got, want)
		}
	}
}

func TestThrottled(t *testing.T) {
	tests := map[string]struct {
		status  int
		header  string
		want    time.Duration
		outcome outcome
	}{
		"too many requests": {429, "3", 3 * time.Second, outcomeThrottled},
		"without a time":    {429, "", unsaidRetryAfter, outcomeThrottled},
		"no time":           {429, "soon", unsaidRetryAfter, outcomeThrottled},
		"before now":        {429, "-3", unsaidRetryAfter, outcomeThrottled},
		"far too long":      {429, "1000000000", maxRetryAfter, outcomeThrottled},
		"unavailable":       {503, "4", 4 * time.Second, outcomeServerError},
		"another status":    {400, "5", 0, outcomeRefused},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", tc.header)
				w.WriteHeader(tc.status)
			}))
			_, err := r.sync(t.Context(), "u", "{}")
			if got, ok := handlers.RetryDelay(err); got < tc.want || got > tc.want+tc.want/10 || ok != (tc.want > 0) || err == nil {
				t.Errorf("the call is to be made again after %s (%v), want %s, and a tenth more at most", got, err, tc.want)
			}
			r.wantCount(t, tc.outcome, 1)
		})
	}
}
