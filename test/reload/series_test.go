package reload_test

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// series returns the values of all series on /metrics.
func (f *follower) series(t testing.TB) map[string]float64 {
	t.Helper()
	code, body := f.Get(t, "metrics", "/metrics")
	if code != http.StatusOK {
		t.Fatalf("reading /metrics: status %d: %s", code, body)
	}
	all := map[string]float64{}
	for line := range strings.Lines(body) {
		line = strings.TrimSpace(line)
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || strings.HasPrefix(line, "#") {
			continue
		}
		value, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			t.Fatalf("reading /metrics: %v in %q", err, line)
		}
		all[line[:at]] = value
	}
	return all
}

// ofDefinitions are the series of definitions: of all, or of those with the given names.
func ofDefinitions(all map[string]float64, names ...string) map[string]float64 {
	found := map[string]float64{}
	for series, value := range all {
		for _, label := range []string{"controller", "name"} {
			_, rest, ok := strings.Cut(series, label+`="`)
			name, _, _ := strings.Cut(rest, `"`)
			if ok && name != leaseName && (len(names) == 0 || slices.Contains(names, name)) {
				found[series] = value
			}
		}
	}
	return found
}

// continues fails the test when a series of before is missing in after, or a counter was reset.
func continues(t testing.TB, before, after map[string]float64) {
	t.Helper()
	for series, value := range before {
		now, ok := after[series]
		if !ok {
			t.Errorf("series %s has vanished", series)
		} else if isCounter(series) && now < value {
			t.Errorf("series %s is %v and was %v", series, now, value)
		}
	}
	for series := range after {
		if _, ok := before[series]; !ok {
			t.Errorf("series %s is new", series)
		}
	}
}

func isCounter(series string) bool {
	name, _, _ := strings.Cut(series, "{")
	for _, suffix := range []string{"_total", "_count", "_sum", "_bucket"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// configHash returns the hash of the config that runs.
func (f *follower) configHash(t testing.TB) string {
	t.Helper()
	for series := range f.series(t) {
		if rest, ok := strings.CutPrefix(series, `kooperd_config_info{hash="`); ok {
			return strings.TrimSuffix(rest, `"}`)
		}
	}
	t.Fatal("there is no kooperd_config_info")
	return ""
}

// value fails the test when there is no such series.
func (f *follower) value(t testing.TB, series string) float64 {
	t.Helper()
	value, ok := f.series(t)[series]
	if !ok {
		t.Fatalf("there is no series %s", series)
	}
	return value
}
