package webhook

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// maxRetryAfter bounds what a hook may ask for, so that no mistake in a header stops a parent
	// for days.
	maxRetryAfter = time.Hour
	// unsaidRetryAfter is for a hook that is busy and does not say for how long.
	unsaidRetryAfter = 5 * time.Second
)

// retryAfter reads the header Retry-After: seconds, or a date. It returns 0 when there is none, and
// when the time is over.
func retryAfter(header http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(header.Get("Retry-After"))
	if text == "" {
		return 0
	}
	if seconds, err := strconv.ParseUint(text, 10, 64); err == nil {
		return time.Duration(min(seconds, uint64(maxRetryAfter/time.Second))) * time.Second
	}
	date, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return min(max(date.Sub(now), 0), maxRetryAfter)
}
