package election

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestRecordOfAnyLease(t *testing.T) {
	holder, seconds, transitions := "x", int32(15), int32(3)
	when := metav1.NewMicroTime(time.Date(2026, 5, 1, 12, 0, 0, 123456000, time.UTC))
	zero := metav1.MicroTime{}
	tests := map[string]struct {
		spec coordinationv1.LeaseSpec
		want record
		held bool
		wait time.Duration
	}{
		"nothing": {coordinationv1.LeaseSpec{}, record{}, false, 0},
		"everything": {
			coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: &seconds, LeaseTransitions: &transitions, AcquireTime: &when, RenewTime: &when},
			record{holder: "x", seconds: 15, transitions: 3, acquired: when.UnixMicro(), renewed: when.UnixMicro()}, true, 15 * time.Second,
		},
		"zero times":        {coordinationv1.LeaseSpec{AcquireTime: &zero, RenewTime: &zero}, record{}, false, 0},
		"a holder alone":    {coordinationv1.LeaseSpec{HolderIdentity: &holder}, record{holder: "x"}, false, 0},
		"a duration alone":  {coordinationv1.LeaseSpec{LeaseDurationSeconds: &seconds}, record{seconds: 15}, false, 15 * time.Second},
		"negative duration": {coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: new(int32(math.MinInt32))}, record{holder: "x", seconds: math.MinInt32}, false, 0},
		"largest duration":  {coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: new(int32(math.MaxInt32))}, record{holder: "x", seconds: math.MaxInt32}, true, math.MaxInt32 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := recordOf(&coordinationv1.Lease{Spec: tt.spec})
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if got.held() != tt.held || got.duration() != tt.wait {
				t.Errorf("held=%v, duration %s", got.held(), got.duration())
			}
		})
	}
}

func TestRecordSurvivesTheLease(t *testing.T) {
	rec := record{holder: "x", seconds: 15, transitions: 7, acquired: 1_000_001, renewed: 2_000_002}
	lease := &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{Strategy: new(coordinationv1.OldestEmulationVersion)}}
	rec.writeTo(lease)
	data, err := lease.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	var stored coordinationv1.Lease
	if err := stored.Unmarshal(data); err != nil {
		t.Fatal(err)
	}
	if got := recordOf(&stored); got != rec {
		t.Errorf("got %+v, want %+v", got, rec)
	}
	if diff := cmp.Diff(lease.Spec.Strategy, stored.Spec.Strategy); diff != "" {
		t.Errorf("a field of another client:\n%s", diff)
	}
}

func TestOrder(t *testing.T) {
	tests := map[string]struct {
		a, b string
		sign int
		ok   bool
	}{
		"older":        {"9", "10", -1, true},
		"newer":        {"10", "9", 1, true},
		"same":         {"10", "10", 0, true},
		"same oddness": {"x", "x", 0, true},
		"unknown":      {"10", "", 0, false},
		"odd":          {"10", "0xff", 0, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if sign, ok := order(tt.a, tt.b); sign != tt.sign || ok != tt.ok {
				t.Errorf("got %d, %v", sign, ok)
			}
		})
	}
}

func TestAssess(t *testing.T) {
	mine := record{holder: "me", seconds: 15, transitions: 1, acquired: 100, renewed: 200}
	pending := mine
	pending.renewed = 300
	with := func(change func(*record)) record {
		rec := mine
		change(&rec)
		return rec
	}
	tests := map[string]struct {
		rv   string
		rec  record
		want origin
	}{
		"the state that is known":        {"50", mine, originOwn},
		"an older state of mine":         {"49", mine, originOld},
		"an older state of another":      {"49", record{holder: "x", seconds: 15}, originOld},
		"only metadata changed":          {"51", mine, originOwn},
		"a write whose reply was lost":   {"51", pending, originOwn},
		"a longer duration":              {"51", with(func(r *record) { r.seconds = 60 }), originOwn},
		"a shorter duration":             {"51", with(func(r *record) { r.seconds = 14 }), originForeign},
		"another holder":                 {"51", with(func(r *record) { r.holder = "x" }), originForeign},
		"no holder":                      {"51", with(func(r *record) { r.holder = "" }), originForeign},
		"another renewal in my name":     {"51", with(func(r *record) { r.renewed = 999 }), originForeign},
		"another term in my name":        {"51", with(func(r *record) { r.acquired = 999 }), originForeign},
		"another count of transitions":   {"51", with(func(r *record) { r.transitions = 2 }), originForeign},
		"not comparable, but mine":       {"x", mine, originOwn},
		"not comparable and not mine":    {"x", record{holder: "x", seconds: 15}, originUnknown},
		"nothing in it, not comparable":  {"", record{}, originUnknown},
		"nothing in it, of a later time": {"51", record{}, originForeign},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var l writeLog
			l.begin(write{rec: mine})
			l.confirm(write{rec: mine}, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "50"}})
			l.begin(write{rec: pending, base: "50"})
			lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{ResourceVersion: tt.rv}}
			tt.rec.writeTo(lease)
			got, w := l.classify(lease)
			if got != tt.want {
				t.Errorf("origin %d, want %d", got, tt.want)
			}
			if got == originOwn && w.rec.renewed != tt.rec.renewed {
				t.Errorf("recognised as the write of %d", w.rec.renewed)
			}
		})
	}
}

func TestLedgerForgetsOldAttempts(t *testing.T) {
	var l writeLog
	for i := range int64(1000) {
		l.begin(write{rec: record{holder: "me", renewed: i}})
	}
	if len(l.pending) != maxPending {
		t.Errorf("%d attempts are remembered", len(l.pending))
	}
	if l.find(record{holder: "me", renewed: 999}); len(l.pending) == 0 {
		t.Error("the last attempt is not remembered")
	}
	l.abort(write{rec: record{holder: "me", renewed: 999}})
	if _, ok := l.find(record{holder: "me", renewed: 999}); ok {
		t.Error("a refused attempt is remembered")
	}
}

func TestLedgerKeepsTheLatestLease(t *testing.T) {
	var l writeLog
	at := func(rv string) *coordinationv1.Lease {
		return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{ResourceVersion: rv}}
	}
	l.confirm(write{}, at("8"))
	l.confirm(write{}, at("10"))
	l.confirm(write{}, at("9")) // a slow reply, after the watch has shown what came later
	if got := l.lease.ResourceVersion; got != "10" {
		t.Errorf("the base of the next renewal is %s", got)
	}
}

func TestLedgerForgetsWhatCannotBeStored(t *testing.T) {
	at := func(rv string) *coordinationv1.Lease {
		return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{ResourceVersion: rv}}
	}
	var l writeLog
	first := write{rec: record{renewed: 1}, base: "7"}
	second := write{rec: record{renewed: 2}, base: "8"}
	l.begin(first)
	l.confirm(first, at("8"))
	l.begin(second)
	l.confirm(first, at("8")) // the watch reports late what the reply has said already
	if _, ok := l.find(second.rec); !ok {
		t.Error("a write that is under way is forgotten")
	}
	l.confirm(first, at("9")) // another client changed a label: the second write fails
	if _, ok := l.find(second.rec); ok {
		t.Error("a write that cannot succeed is remembered")
	}
}
