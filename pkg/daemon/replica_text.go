package daemon

import (
	"fmt"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/statusz"
)

// ago is how long something was before now, as kubectl says it; empty for the zero time.
func ago(at, now time.Time) string {
	if at.IsZero() {
		return ""
	}
	return duration.HumanDuration(max(0, now.Sub(at)))
}

// shortSeconds is a duration with about two digits; empty for none.
func shortSeconds(seconds statusz.Seconds) string {
	d := time.Duration(float64(seconds) * float64(time.Second))
	switch {
	case d <= 0:
		return ""
	case d < 10*time.Millisecond:
		return strconv.FormatFloat(d.Seconds()*1000, 'f', 1, 64) + "ms"
	case d < time.Second:
		return strconv.FormatFloat(d.Seconds()*1000, 'f', 0, 64) + "ms"
	case d < time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + "s"
	}
	return duration.HumanDuration(d)
}

// rateText is how many calls there are in a second, or in a minute where they are few.
func rateText(calls statusz.Calls) string {
	if calls.Total == 0 || calls.Window <= 0 {
		return "0"
	}
	rate := float64(calls.Total) / float64(calls.Window)
	switch {
	case rate >= 10:
		return fmt.Sprintf("%.0f/s", rate)
	case rate >= 1:
		return fmt.Sprintf("%.1f/s", rate)
	case rate*60 >= 1:
		return fmt.Sprintf("%.0f/min", rate*60)
	}
	return "<1/min"
}

// failedText is how many calls failed, with their part of all.
func failedText(calls statusz.Calls) string {
	if calls.Failed == 0 || calls.Total == 0 {
		return "0"
	}
	return fmt.Sprintf("%d (%.0f%%)", calls.Failed, 100*float64(calls.Failed)/float64(calls.Total))
}

// bytesText is a size with about two digits.
func bytesText(size int64) string {
	value, unit := float64(size), "B"
	for _, larger := range []string{"kB", "MB", "GB"} {
		if value < 1000 {
			break
		}
		value, unit = value/1000, larger
	}
	if unit == "B" || value >= 10 {
		return fmt.Sprintf("%.0f %s", value, unit)
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}

// refText names an object as a person does.
func refText(object statusz.ObjectRef) string {
	if object.Namespace == "" {
		return object.Kind + " " + object.Name
	}
	return object.Kind + " " + object.Namespace + "/" + object.Name
}

// statePaint is the paint of a state.
func statePaint(state status.State) paint {
	switch state {
	case status.Running:
		return green
	case status.Degraded, status.PruneHeld:
		return red
	case status.Paused:
		return faint
	case status.Waiting, status.Syncing, status.ReloadPending:
		return yellow
	}
	return plainly
}

// plural writes a number of things.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}
