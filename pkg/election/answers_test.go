package election

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestTransitions(t *testing.T) {
	want := map[State][]State{
		StateStandby:  {StateLeading},
		StateLeading:  {StateDraining, StateReleased, StateLost},
		StateDraining: {StateReleased, StateLost},
		StateReleased: {StateStandby},
		StateLost:     {StateStandby},
	}
	got := map[State][]State{}
	all := []State{StateStandby, StateLeading, StateDraining, StateReleased, StateLost}
	for _, from := range all {
		for _, to := range all {
			if from.allows(to) {
				got[from] = append(got[from], to)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("transitions (-want +got):\n%s", diff)
	}
	if unknown := State(99); unknown.String() != "unknown" || unknown.next() != nil {
		t.Error("a state that does not exist has a name or followers")
	}
}

func TestImpossibleTransitionEndsTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newTestElector(t, newServer(), "a").Elector
		defer func() {
			if recover() == nil {
				t.Error("a standby was released")
			}
		}()
		e.move(StateReleased)
	})
}

// answers is every answer that the API server, the network or a client library gives to a request
// instead of doing it, and silence in both directions.
func answers() map[string]fault {
	status := func(code int, reason metav1.StatusReason) error {
		return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: int32(code), Reason: reason, Message: string(reason)}}
	}
	generic := apierrors.NewGenericServerResponse(http.StatusNotFound, "PUT", leases, testName, "404 page not found", 0, true)
	return map[string]fault{
		"conflict":           {err: apierrors.NewConflict(leases, testName, errors.New("modified"))},
		"already exists":     {err: apierrors.NewAlreadyExists(leases, testName)},
		"not found by proxy": {err: generic},
		"forbidden":          {err: apierrors.NewForbidden(leases, testName, errors.New("no"))},
		"unauthorized":       {err: apierrors.NewUnauthorized("who are you")},
		"invalid":            {err: apierrors.NewInvalid(schema.GroupKind{Kind: "Lease"}, testName, nil)},
		"bad request":        {err: apierrors.NewBadRequest("cannot decode")},
		"expired":            {err: apierrors.NewResourceExpired("too old")},
		"too many requests":  {err: apierrors.NewTooManyRequests("later", 1)},
		"much too many":      {err: apierrors.NewTooManyRequests("much later", 3600)},
		"internal error":     {err: apierrors.NewInternalError(errors.New("etcd"))},
		"bad gateway":        {err: status(http.StatusBadGateway, "")},
		"unavailable":        {err: apierrors.NewServiceUnavailable("starting")},
		"server timeout":     {err: apierrors.NewServerTimeout(leases, "update", 1)},
		"gateway timeout":    {err: apierrors.NewTimeoutError("too slow", 0)},
		"connection refused": {err: &net.OpError{Op: "dial", Err: errors.New("connection refused")}},
		"no lease in it":     {err: errors.New("the answer holds no lease")},
		"request lost":       {lost: true},
		"reply lost":         {mute: true},
		"slow to arrive":     {before: 1900 * time.Millisecond},
		"slow to return":     {after: 1900 * time.Millisecond},
		"too slow to arrive": {before: 3 * time.Second},
		"too slow to return": {after: 3 * time.Second},
	}
}

// Every answer to a renewal, or to the reading that follows a refused one, for less than
// RenewDeadline: the term goes on. For longer, it ends in time. Either way no other elector is
// harmed, and afterwards this process can lead again.

func TestEveryAnswerToALeader(t *testing.T) {
	for name, f := range answers() {
		for _, verb := range []string{"update", "get", "both"} {
			for _, draining := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/draining=%v", name, verb, draining), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { answerALeader(t, f, verb, draining) })
				})
			}
		}
	}
}

func answerALeader(t *testing.T, f fault, verb string, draining bool) {
	s := newServer()
	a := newTestElector(t, s, "a")
	drained := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	a.startWith(ctx, cancel, func(term context.Context) error {
		select {
		case <-term.Done():
		case <-drained:
		}
		return nil
	})
	term := a.leads()
	if draining {
		cancel()
	}
	time.Sleep(time.Second)
	apply := func() {
		if verb == "both" {
			a.link.setFault(always(f))
			return
		}
		a.link.setFault(only(verb, f))
		if verb == "get" {
			s.edit(label) // so that the next renewal is refused and something has to be read
		}
	}
	for range 3 { // three times for 5 s
		apply()
		time.Sleep(5 * time.Second)
		a.link.setFault(nil)
		time.Sleep(5*time.Second + 77*time.Millisecond)
	}
	if term.Err() != nil {
		t.Fatalf("the term was lost: %v", context.Cause(term))
	}
	if got := a.Remaining(); got < 7*time.Second {
		t.Errorf("only %s remain although the fault is over", got)
	}
	before := len(s.history())
	apply()
	time.Sleep(11 * time.Second)
	if (len(s.history()) == before) == a.Leading() && term.Err() == nil {
		t.Errorf("leading=%v although %d renewals were stored", a.Leading(), len(s.history())-before)
	}
	if term.Err() == nil { // the answer does not prevent renewals
		a.link.setFault(nil)
		close(drained)
		cancel()
		if err := <-a.result; err != nil {
			t.Errorf("Run returned %v", err)
		}
		return
	}
	a.wantLost(ReasonDeadline)
	cancel()
}

// Every answer to a standby: it does not lead while it is given, does not flood the server, and
// leads soon afterwards.

func TestEveryAnswerToAStandby(t *testing.T) {
	for name, f := range answers() {
		for _, verb := range []string{"create", "update", "get", "watch", "all"} {
			t.Run(name+"/"+verb, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { answerAStandby(t, f, verb) })
			})
		}
	}
}

func answerAStandby(t *testing.T, f fault, verb string) {
	s := newServer()
	if verb == "update" {
		s.put(releasedSpec())
	}
	a := newTestElector(t, s, "a")
	if verb == "all" {
		a.link.setFault(always(f))
	} else {
		a.link.setFault(only(verb, f))
	}
	a.start()
	time.Sleep(time.Minute)
	requests := a.link.count("get") + a.link.count("create") + a.link.count("update")
	if requests > 2*60+35 {
		t.Errorf("%d requests in a minute", requests)
	}
	a.link.setFault(nil)
	healed := time.Now()
	a.leads()
	// The longest is a server that asks for patience, which is granted for four retry periods, and
	// then a Lease whose absence was seen too long ago, which every elector respects for its whole
	// duration.
	if got := time.Since(healed); got > 4*DefaultRetryPeriod*6/5+DefaultLeaseDuration+time.Second {
		t.Errorf("led %s after the fault was over", got)
	}
	if err := a.stop(); err != nil {
		t.Error(err)
	}
}

// Every answer to a release: Run returns soon, and says truly whether the Lease was given up.

func TestEveryAnswerToARelease(t *testing.T) {
	for name, f := range answers() {
		for _, verb := range []string{"update", "get", "both"} {
			t.Run(name+"/"+verb, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newServer()
					a := newTestElector(t, s, "a")
					a.start()
					a.leads()
					time.Sleep(time.Second)
					if verb == "both" {
						a.link.setFault(always(f))
					} else {
						a.link.setFault(only(verb, f))
					}
					stopped := time.Now()
					if err := a.stop(); err != nil {
						t.Errorf("Run returned %v", err)
					}
					if got := time.Since(stopped); got > 3*DefaultRetryPeriod+100*time.Millisecond {
						t.Errorf("stopping took %s", got)
					}
					if a.seen.kept[0] == nil && s.record().holder != "" {
						t.Error("the lease counts as released and is not")
					}
					if a.State() != StateReleased || a.Leading() {
						t.Errorf("it is %s, leading=%v", a.State(), a.Leading())
					}
				})
			})
		}
	}
}

func TestProblemNamesTheCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newTestElector(t, newServer(), "a")
		forbidden := apierrors.NewForbidden(leases, testName, errors.New("no role"))
		a.link.setFault(only("create", fault{err: forbidden}))
		a.start()
		time.Sleep(10 * time.Second)
		if err := a.Problem(); !apierrors.IsForbidden(err) {
			t.Errorf("the problem is %v", err)
		}
		if err := a.Healthy(); err != nil {
			t.Errorf("a restart would not help, but: %v", err)
		}
		a.link.setFault(nil)
		a.leads()
		if err := a.Problem(); err != nil {
			t.Errorf("the problem is still %v", err)
		}
		if err := a.stop(); err != nil {
			t.Error(err)
		}
	})
}
