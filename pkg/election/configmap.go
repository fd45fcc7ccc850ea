package election

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
)

// leaderAnnotation is where client-go kept the record before there were Leases, and with it Kooper
// before v2.5. It did so up to v0.23 (tools/leaderelection/resourcelock, removed in v0.24).
const leaderAnnotation = "control-plane.alpha.kubernetes.io/leader"

// dataAnnotation carries a ConfigMap's data through a Lease, so that a write puts back what it
// found. It never reaches the API server.
const dataAnnotation = "kooperd.dev/configmap"

// unreadableHolder holds a record that cannot be read, for unreadableSeconds since its last change:
// its writer may be at work, but a record without renewals must not block for ever.
const (
	unreadableHolder  = "(unreadable record)"
	unreadableSeconds = 60
)

// NewConfigMapClient is like [NewLeaseClient] for the older lock: an annotation of a ConfigMap, as
// client-go up to v0.23 wrote it. It is for taking over from an operator that uses that lock. It
// needs the rights to get, create and update configmaps; with watch as well, a standby notices a
// release at once.
func NewConfigMapClient(config *rest.Config, retryPeriod time.Duration) (*APIClient, error) {
	return newAPIClient(config, retryPeriod, configMapLock{})
}

// configMapLock keeps the record in an annotation of a ConfigMap.
type configMapLock struct{}

var _ lock = configMapLock{}

// annotationRecord is the annotation's JSON.
type annotationRecord struct {
	HolderIdentity       string     `json:"holderIdentity"`
	LeaseDurationSeconds int32      `json:"leaseDurationSeconds"`
	AcquireTime          recordTime `json:"acquireTime"`
	RenewTime            recordTime `json:"renewTime"`
	LeaderTransitions    int32      `json:"leaderTransitions"`
}

// recordTime is a time of the record. Old candidates write whole seconds, or null, and read
// fractions as well; ours are written with microseconds, because the elector recognises its own
// write by them.
type recordTime struct{ micro *metav1.MicroTime }

func (t recordTime) MarshalJSON() ([]byte, error) { return json.Marshal(t.micro) }

func (t *recordTime) UnmarshalJSON(b []byte) error {
	var read metav1.Time
	if err := json.Unmarshal(b, &read); err != nil {
		return err
	}
	t.micro = nil
	if !read.IsZero() {
		micro := metav1.NewMicroTime(read.UTC())
		t.micro = &micro
	}
	return nil
}

func (configMapLock) groupVersion() schema.GroupVersion        { return corev1.SchemeGroupVersion }
func (configMapLock) resource() string                         { return "configmaps" }
func (configMapLock) addToScheme(scheme *runtime.Scheme) error { return corev1.AddToScheme(scheme) }
func (configMapLock) object() runtime.Object                   { return &corev1.ConfigMap{} }

func (configMapLock) encode(lease *coordinationv1.Lease) (runtime.Object, error) {
	cm := &corev1.ConfigMap{}
	if kept, ok := lease.Annotations[dataAnnotation]; ok {
		if err := json.Unmarshal([]byte(kept), cm); err != nil {
			return nil, fmt.Errorf("restoring the lock's config map: %w", err)
		}
	}
	cm.ObjectMeta = *lease.ObjectMeta.DeepCopy()
	cm.Annotations = maps.Clone(cm.Annotations)
	delete(cm.Annotations, dataAnnotation)
	if cm.Annotations == nil {
		cm.Annotations = map[string]string{}
	}
	text, err := json.Marshal(annotationRecord{
		HolderIdentity:       deref(lease.Spec.HolderIdentity),
		LeaseDurationSeconds: deref(lease.Spec.LeaseDurationSeconds),
		AcquireTime:          recordTime{lease.Spec.AcquireTime},
		RenewTime:            recordTime{lease.Spec.RenewTime},
		LeaderTransitions:    deref(lease.Spec.LeaseTransitions),
	})
	if err != nil {
		return nil, fmt.Errorf("encoding the lock's record: %w", err)
	}
	cm.Annotations[leaderAnnotation] = string(text)
	return cm, nil
}

func (configMapLock) decode(object runtime.Object) (*coordinationv1.Lease, error) {
	cm, ok := object.(*corev1.ConfigMap)
	if !ok {
		return nil, fmt.Errorf("reading the lock's config map: it is a %T", object)
	}
	kept, err := json.Marshal(&corev1.ConfigMap{Data: cm.Data, BinaryData: cm.BinaryData, Immutable: cm.Immutable})
	if err != nil {
		return nil, fmt.Errorf("keeping the lock's config map: %w", err)
	}
	lease := &coordinationv1.Lease{ObjectMeta: *cm.ObjectMeta.DeepCopy()}
	text, found := lease.Annotations[leaderAnnotation]
	delete(lease.Annotations, leaderAnnotation)
	metav1.SetMetaDataAnnotation(&lease.ObjectMeta, dataAnnotation, string(kept))
	if !found {
		return lease, nil // A ConfigMap of that name without a record is free.
	}
	var r annotationRecord
	if json.Unmarshal([]byte(text), &r) != nil {
		r = annotationRecord{HolderIdentity: unreadableHolder, LeaseDurationSeconds: unreadableSeconds}
	}
	lease.Spec = coordinationv1.LeaseSpec{
		HolderIdentity: &r.HolderIdentity, LeaseDurationSeconds: &r.LeaseDurationSeconds,
		AcquireTime: r.AcquireTime.micro, RenewTime: r.RenewTime.micro, LeaseTransitions: &r.LeaderTransitions,
	}
	return lease, nil
}

func (l configMapLock) stream(w watch.Interface) watch.Interface {
	return watch.Filter(w, func(e watch.Event) (watch.Event, bool) {
		if e.Type == watch.Error || e.Type == watch.Bookmark {
			return e, true
		}
		lease, err := l.decode(e.Object)
		if err != nil {
			return e, true // The watcher refuses an object that is no Lease.
		}
		e.Object = lease
		return e, true
	})
}
