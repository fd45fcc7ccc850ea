package election

import (
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
)

// record is what a Lease says about its holder, in a form that can be compared with ==. Times are
// microseconds since 1970, the precision of metav1.MicroTime, and zero when unset.
type record struct {
	holder      string
	seconds     int32
	transitions int32
	acquired    int64
	renewed     int64
}

// recordOf reads the record of a Lease. Any field may be unset.
func recordOf(lease *coordinationv1.Lease) record {
	spec := &lease.Spec
	return record{
		holder:      deref(spec.HolderIdentity),
		seconds:     deref(spec.LeaseDurationSeconds),
		transitions: deref(spec.LeaseTransitions),
		acquired:    micros(spec.AcquireTime),
		renewed:     micros(spec.RenewTime),
	}
}

// writeTo puts the record into a Lease and leaves everything else in it alone.
func (r record) writeTo(lease *coordinationv1.Lease) {
	lease.Spec.HolderIdentity = &r.holder
	lease.Spec.LeaseDurationSeconds = &r.seconds
	lease.Spec.LeaseTransitions = &r.transitions
	lease.Spec.AcquireTime = microTime(r.acquired)
	lease.Spec.RenewTime = microTime(r.renewed)
}

// held reports whether the record names a holder and a duration.
func (r record) held() bool { return r.holder != "" && r.seconds > 0 }

// complete reports whether the record has everything that a candidate writes when it takes or
// renews the Lease.
func (r record) complete() bool { return r.held() && r.acquired != 0 && r.renewed != 0 }

// renews reports whether the record is a renewal of other, by its times.
func (r record) renews(other record) bool {
	return r.complete() && r.holder == other.holder && r.acquired == other.acquired && r.transitions == other.transitions &&
		r.renewed != other.renewed
}

// unrenewed reports whether the record is as its holder took the Lease. client-go writes the same
// moment into both times, and kooperd the next one into the second.
func (r record) unrenewed() bool { return r.renewed-r.acquired <= 1 }

// released reports whether the record has the form in which candidates give the Lease up: kooperd
// and client-go write no holder, a duration of one second, and the same moment into both times.
func (r record) released() bool {
	return r.holder == "" && r.seconds == 1 && r.renewed != 0 && r.acquired == r.renewed
}

// duration is for how long after its last change a held Lease must be respected.
func (r record) duration() time.Duration { return time.Duration(max(r.seconds, 0)) * time.Second }

// sameTenure reports whether r and other are one and the same write of one holder. The duration is
// left out: see [writeLog.classify].
func (r record) sameTenure(other record) bool {
	r.seconds = other.seconds
	return r == other
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

func micros(t *metav1.MicroTime) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func microTime(micros int64) *metav1.MicroTime {
	t := metav1.NewMicroTime(time.UnixMicro(micros).UTC())
	return &t
}

// order compares two resourceVersions of one Lease: negative when a is older. It is not ok when one
// of them is not a number of the API server's, and nothing is known.
func order(a, b string) (sign int, ok bool) {
	if a == b {
		return 0, true
	}
	sign, err := resourceversion.CompareResourceVersion(a, b)
	return sign, err == nil
}
