package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"k8s.io/klog/v2"

	"kooperd.dev/kooperd/pkg/status"
)

func newTestLogger(t *testing.T, format string, verbosity int) (logr.Logger, *bytes.Buffer) {
	t.Helper()
	var written bytes.Buffer
	logger, err := NewLogger(&written, format, verbosity)
	if err != nil {
		t.Fatalf("making a logger: %v", err)
	}
	return logger, &written
}

// lines decodes JSON log lines and drops their times, of which it checks the form.
func lines(t *testing.T, text string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(text) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("line %q is no JSON: %v", line, err)
		}
		at, ok := fields["time"].(string)
		if !ok {
			t.Fatalf("line %q has no time", line)
		}
		if _, err := time.Parse(time.RFC3339Nano, at); err != nil {
			t.Errorf("time of line %q: %v", line, err)
		}
		delete(fields, "time")
		all = append(all, fields)
	}
	return all
}

func TestJSONLog(t *testing.T) {
	logger, written := newTestLogger(t, FormatJSON, 1)
	logger = logger.WithValues(KeyController, "pods")
	logger.Info("definition changed state", "state", status.Running, KeyReason, "")
	logger.V(1).Info("handled object", KeyObject, ObjectName("payments", "a"), "duration", 1500*time.Millisecond)
	logger.Error(errors.New("conflict\nagain"), "handling object failed", "attempt", 3)
	want := []map[string]any{
		{"level": "INFO", "msg": "definition changed state", "controller": "pods", "state": "Running", "reason": ""},
		{"level": "DEBUG", "msg": "handled object", "controller": "pods", "object": "payments/a", "duration": "1.5s"},
		{"level": "ERROR", "msg": "handling object failed", "controller": "pods", "err": "conflict\nagain", "attempt": 3.0},
	}
	if diff := cmp.Diff(want, lines(t, written.String())); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func TestTextLog(t *testing.T) {
	logger, written := newTestLogger(t, FormatText, 3)
	logger.Info("serving", "address", "127.0.0.1:8080", KeyReason, "two words")
	logger.V(3).Info("handled", "duration", 2*time.Second)
	logger.Error(errors.New("no"), "broken")
	var got []string
	for line := range strings.Lines(written.String()) {
		at, rest, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if !ok || !strings.HasPrefix(at, "time=") {
			t.Errorf("line %q does not begin with its time", line)
		}
		got = append(got, rest)
	}
	want := []string{
		`level=INFO msg=serving address=127.0.0.1:8080 reason="two words"`,
		`level=DEBUG msg=handled duration=2s`,
		`level=ERROR msg=broken err=no`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func TestVerbosity(t *testing.T) {
	tests := map[string]struct {
		verbosity int
		want      []string
	}{
		"below 0 only errors": {-1, []string{"error"}},
		"0":                   {0, []string{"error", "v0"}},
		"1":                   {1, []string{"error", "v0", "v1"}},
		"2":                   {2, []string{"error", "v0", "v1", "v2"}},
		"9":                   {9, []string{"error", "v0", "v1", "v2", "v9"}},
		"as 9":                {12, []string{"error", "v0", "v1", "v2", "v9"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			logger, written := newTestLogger(t, FormatJSON, tc.verbosity)
			logger.V(7).Error(nil, "error") // The level of an error does not count.
			logger.Info("v0")
			logger.V(1).Info("v1")
			logger.V(1).V(1).Info("v2")
			logger.V(9).Info("v9")
			logger.V(10).Info("v10")
			if logger.V(1).Enabled() != (tc.verbosity >= 1) {
				t.Errorf("V(1).Enabled() = %t", logger.V(1).Enabled())
			}
			var got []string
			for _, line := range lines(t, written.String()) {
				if line["msg"] == "canceled" && (line["level"] != "DEBUG" || !strings.Contains(line["err"].(string), "context canceled")) {
					t.Errorf("line %v of a canceled request, want level DEBUG and the error", line)
				}
				got = append(got, line["msg"].(string))
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("written: %q, want %q", got, tc.want)
			}
		})
	}
}

func TestLogFormats(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, format := range []string{"", FormatAuto} { // A file is no terminal.
		logger, err := NewLogger(file, format, 0)
		if err != nil {
			t.Fatalf("format %q: %v", format, err)
		}
		logger.Info("hello")
	}
	text, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	if got := lines(t, string(text)); len(got) != 2 {
		t.Errorf("written to a file: %q", text)
	}
	_, err = NewLogger(file, "xml", 0)
	if err == nil || err.Error() != `making the logger: unknown format "xml", want auto, text or json` {
		t.Errorf("unknown format: %v", err)
	}
}

func TestObjectName(t *testing.T) {
	if got := ObjectName("payments", "a"); got != "payments/a" {
		t.Errorf("namespaced: %q", got)
	}
	if got := ObjectName("", "node-1"); got != "node-1" {
		t.Errorf("cluster-scoped: %q", got)
	}
}

func TestRouteKlog(t *testing.T) {
	t.Cleanup(func() {
		klog.ClearLogger()
		flags := flag.NewFlagSet("klog", flag.ContinueOnError)
		klog.InitFlags(flags)
		if err := flags.Set("v", "0"); err != nil {
			t.Errorf("resetting klog: %v", err)
		}
	})
	tests := map[string]struct {
		verbosity int
		want      []string
	}{
		"quiet":             {0, []string{"error"}},
		"kooperd's calls":   {1, []string{"error"}},
		"client-go's level": {2, []string{"error", "canceled", "canceled", "info", "contextual info"}},
		"client-go's V(4)":  {6, []string{"error", "canceled", "canceled", "info", "contextual info", "v4", "contextual v4"}},
		"everything":        {12, []string{"error", "canceled", "canceled", "info", "contextual info", "v4", "contextual v4", "v5", "contextual v7", "v7 in a call"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			logger, written := newTestLogger(t, FormatJSON, tc.verbosity)
			if err := RouteKlog(logger, tc.verbosity); err != nil {
				t.Fatal(err)
			}
			klog.ErrorS(errors.New("no"), "error")
			klog.FromContext(t.Context()).Error(fmt.Errorf("reading: %w", context.Canceled), "canceled")
			klog.FromContext(t.Context()).WithValues("a", 1).Error(context.Canceled, "canceled")
			klog.InfoS("info")
			klog.FromContext(t.Context()).Info("contextual info")
			klog.V(4).InfoS("v4")
			klog.FromContext(t.Context()).V(4).Info("contextual v4")
			klog.V(5).InfoS("v5")
			for _, bodies := range []int{8, 9, 10} {
				klog.V(klog.Level(bodies)).InfoS("bodies")
				klog.FromContext(t.Context()).V(bodies).Info("contextual bodies")
				klog.FromContext(klog.NewContext(t.Context(), logger.V(clientGoLevels))).V(bodies).Info("bodies of a source")
			}
			klog.FromContext(t.Context()).V(7).Info("contextual v7")
			call := klog.NewContext(t.Context(), ForCall(logger.WithName("client-go"), "a", "b", 1))
			klog.FromContext(call).V(8).Info("bodies in a call")
			klog.FromContext(call).WithName("").V(9).Info("bodies in a call")
			klog.FromContext(call).WithValues("more", 1).V(9).Info("bodies in a call")
			if tc.verbosity > clientGoMost {
				klog.FromContext(call).V(7).Info("v7 in a call")
			}
			klog.Flush()
			var got []string
			for _, line := range lines(t, written.String()) {
				if line["logger"] != "client-go" {
					t.Errorf("line %v does not tell that it is client-go's", line)
				}
				if line["msg"] == "canceled" && (line["level"] != "DEBUG" || !strings.Contains(line["err"].(string), "context canceled")) {
					t.Errorf("line %v of a canceled request, want level DEBUG and the error", line)
				}
				got = append(got, line["msg"].(string))
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("written: %q, want %q", got, tc.want)
			}
		})
	}
}
