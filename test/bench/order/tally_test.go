package order_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/test/bench/order"
)

func TestReport(t *testing.T) {
	var out bytes.Buffer
	tally, err := order.NewTally(order.Order{Definitions: 2, Objects: 100}, &out)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		tally.Handled(0, fmt.Sprintf("web-1-%06d", i))
		tally.Handled(0, fmt.Sprintf("web-1-%06d", i)) // A second time counts nothing,
	}
	for _, stranger := range []string{"web-1-000100", "web-1-x", "", "7-"} { // and neither do objects of others.
		tally.Handled(1, stranger)
	}
	var handlers sync.WaitGroup
	for i := range 99 {
		handlers.Go(func() { tally.Handled(1, fmt.Sprintf("web-1-%06d", i)) })
	}
	handlers.Wait()
	if out.Len() > 0 {
		t.Fatalf("reported before everything was handled: %s", out.String())
	}
	if err := tally.Decode(func() error {
		for begin := time.Now(); time.Since(begin) < 5*time.Millisecond; { // Busy, as waiting takes no CPU.
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	tally.Handled(1, "web-1-000099")
	var report order.Report
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatalf("reading the report %q: %v", out.String(), err)
	}
	if report.Decoding <= 0 || report.CPU < report.Decoding || time.Since(report.At) > time.Minute {
		t.Errorf("have report %+v, want this moment, some CPU, and a part of it for decoding", report)
	}
}

func TestSamples(t *testing.T) {
	path := filepath.Join(t.TempDir(), "samples")
	tally, err := order.NewTally(order.Order{Definitions: 2, Samples: path}, os.Stdout)
	if err != nil {
		t.Fatal(err)
	}
	entered := time.Now()
	for _, stamp := range []string{"", "0", "yesterday", "17", "17", "18"} {
		tally.Stamped(1, stamp, entered)
	}
	tally.Stamped(0, "17", entered)
	if err := tally.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var samples []order.Sample
	if err := json.Unmarshal(data, &samples); err != nil {
		t.Fatal(err)
	}
	for i := range samples {
		if samples[i].Done < samples[i].Entered || samples[i].Entered != entered.UnixNano() {
			t.Errorf("have %+v, want it entered at %d and done after that", samples[i], entered.UnixNano())
		}
		samples[i].Entered, samples[i].Done = 0, 0
	}
	want := []order.Sample{{Definition: 0, Sent: 17}, {Definition: 1, Sent: 17}, {Definition: 1, Sent: 18}}
	if diff := cmp.Diff(want, samples); diff != "" {
		t.Errorf("samples (-want +got):\n%s", diff)
	}
}
