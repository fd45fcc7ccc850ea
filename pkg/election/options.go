package election

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
)

// The timings that an Options leaves zero, which are Kooper's and the Kubernetes components' own.
const (
	DefaultLeaseDuration = 15 * time.Second
	DefaultRenewDeadline = 10 * time.Second
	DefaultRetryPeriod   = 2 * time.Second
)

// Options says what to compete for, as whom, and how fast.
type Options struct {
	// Namespace and Name are those of the Lease. Both are required; the namespace must exist.
	Namespace, Name string
	// Identity goes into holderIdentity. Required, and different for every running process: see
	// [Identity].
	Identity string

	// LeaseDuration is for how long other candidates leave the Lease alone after its last renewal.
	// Whole seconds, because the Lease stores no fraction; zero means 15 s.
	LeaseDuration time.Duration
	// RenewDeadline is for how long after the sending of its last successful renewal a term may be
	// relied on. It must be shorter than LeaseDuration by at least a second, an eighth of it, and
	// what work needs to stop. Zero means 10 s.
	RenewDeadline time.Duration
	// RetryPeriod is the time between renewals, the upper limit of one request, and the polling
	// period of a standby whose watch is broken. At most two thirds of RenewDeadline, so that a
	// failed renewal can be repeated. Zero means 2 s.
	RetryPeriod time.Duration

	// Leases reads and writes the Lease. Required. It is not closed by the elector.
	Leases LeaseClient
	// Clock is read for everything that decides about leadership. Zero means the machine's clock.
	Clock Clock
	// Logger is for the elector's own messages. Zero logs nothing.
	Logger logr.Logger
	// Observer is called when something has happened.
	Observer Observer
}

// Observer is a set of functions that an elector calls after something has happened; each may be
// nil. They are called one at a time on the elector's goroutine and must return quickly: no
// renewal is sent meanwhile, though a term ends in time.
type Observer struct {
	// StateChanged follows every transition.
	StateChanged func(from, to State)
	// Renewed follows every attempt to renew, with the time it took and its error, nil for success.
	Renewed func(latency time.Duration, err error)
	// Elected is called at the start of a term, with the Lease as stored. It must not be changed.
	Elected func(lease *coordinationv1.Lease)
	// Lost is called when a term has ended against the elector's will, after the term's context was
	// cancelled.
	Lost func(reason Reason, err error)
	// Released is called when a term has ended because its work is done; err says why the Lease
	// could not be given up and is left to expire, nil that it was.
	Released func(err error)
}

// withDefaults returns o with every zero field that has a default filled in.
func (o Options) withDefaults() Options {
	if o.LeaseDuration == 0 {
		o.LeaseDuration = DefaultLeaseDuration
	}
	if o.RenewDeadline == 0 {
		o.RenewDeadline = DefaultRenewDeadline
	}
	if o.RetryPeriod == 0 {
		o.RetryPeriod = DefaultRetryPeriod
	}
	if o.Clock == nil {
		o.Clock = newSystemClock()
	}
	if o.Logger.GetSink() == nil {
		o.Logger = logr.Discard()
	}
	return o
}

// validate returns everything that is wrong with o.
func (o Options) validate() error {
	var problems []error
	for _, field := range []struct{ name, value string }{{"namespace", o.Namespace}, {"name", o.Name}, {"identity", o.Identity}} {
		if field.value == "" {
			problems = append(problems, fmt.Errorf("%s of the lease is empty", field.name))
		}
	}
	if o.Leases == nil {
		problems = append(problems, errors.New("no lease client is given"))
	}
	return errors.Join(append(problems, o.checkTimings())...)
}

// checkTimings refuses timings with which two candidates could work at once, or which the Lease
// cannot express. client-go accepts more, because it counts neither the time that work needs to
// stop nor a fraction of a second that is cut off.
func (o Options) checkTimings() error {
	lease, renew, retry := o.LeaseDuration, o.RenewDeadline, o.RetryPeriod
	reserve := max(time.Second, lease/8)
	switch {
	case lease < 0 || renew < 0 || retry < 0:
		return errors.New("leaseDuration, renewDeadline and retryPeriod must be positive")
	case lease%time.Second != 0:
		return fmt.Errorf("leaseDuration is %s: it must be whole seconds", lease)
	case lease/time.Second > math.MaxInt32:
		return fmt.Errorf("leaseDuration is %s: it must fit into 32 bits of seconds", lease)
	case renew > lease-reserve:
		return fmt.Errorf("renewDeadline is %s: with a leaseDuration of %s it must be at most %s, so that work can stop in time",
			renew, lease, lease-reserve)
	case retry > renew*2/3:
		return fmt.Errorf("retryPeriod is %s: with a renewDeadline of %s it must be at most %s, so that a failed renewal can be repeated",
			retry, renew, renew*2/3)
	case retry < 50*time.Millisecond:
		return fmt.Errorf("retryPeriod is %s: it must be at least 50ms", retry)
	}
	return nil
}

// requestTimeout is the limit of one request: short enough that after one that got no answer there
// is time for another.
func (o Options) requestTimeout() time.Duration {
	return min(o.RetryPeriod, (o.RenewDeadline-o.RetryPeriod)/2)
}

// gap is for how long the absence of the Lease is believed without another look.
func (o Options) gap() time.Duration { return 3 * o.RetryPeriod }

// margin is how long before the possible takeover work must have ended, and how long a function is
// waited for whose term was taken away without warning.
func (o Options) margin() time.Duration {
	return max((o.LeaseDuration-o.RenewDeadline)/5, 100*time.Millisecond)
}
