package election

import (
	"fmt"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
)

// lock is the kind of object that holds the record. The elector itself knows Leases only; whatever
// else there is looks like one to it.
type lock interface {
	groupVersion() schema.GroupVersion
	resource() string
	addToScheme(scheme *runtime.Scheme) error
	// object returns an empty object of the kind.
	object() runtime.Object
	// encode returns what to write for a Lease that was made by decode, or that is new.
	encode(lease *coordinationv1.Lease) (runtime.Object, error)
	// decode returns what was read as a Lease.
	decode(object runtime.Object) (*coordinationv1.Lease, error)
	// stream returns a watch whose objects are decoded.
	stream(w watch.Interface) watch.Interface
}

// leaseLock is the Lease as it is.
type leaseLock struct{}

func (leaseLock) groupVersion() schema.GroupVersion                          { return coordinationv1.SchemeGroupVersion }
func (leaseLock) resource() string                                           { return "leases" }
func (leaseLock) addToScheme(scheme *runtime.Scheme) error                   { return coordinationv1.AddToScheme(scheme) }
func (leaseLock) object() runtime.Object                                     { return &coordinationv1.Lease{} }
func (leaseLock) encode(lease *coordinationv1.Lease) (runtime.Object, error) { return lease, nil }
func (leaseLock) stream(w watch.Interface) watch.Interface                   { return w }
func (leaseLock) decode(object runtime.Object) (*coordinationv1.Lease, error) {
	lease, ok := object.(*coordinationv1.Lease)
	if !ok {
		return nil, fmt.Errorf("reading the lease: it is a %T", object)
	}
	return lease, nil
}
