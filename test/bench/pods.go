package main

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// newPod returns pod i as a Deployment would make it.
func newPod(s shape, i int) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: objectName(i), Namespace: namespace, GenerateName: "web-7c5ddbdf54-",
			Labels: map[string]string{"app.kubernetes.io/name": "web", "app.kubernetes.io/instance": fmt.Sprintf("shop-%d", i%50),
				"pod-template-hash": "7c5ddbdf54"},
			Annotations: map[string]string{"prometheus.io/scrape": "true", "prometheus.io/port": "9090"},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{newContainer("web", 8080, s == largePods)}},
	}
	if s == largePods {
		pod.Spec.Containers = append(pod.Spec.Containers, newContainer("proxy", 15001, true))
		pod.Annotations["checksum/config"] = fmt.Sprintf("%064x", i)
	}
	return pod
}

// newContainer returns a container with limits, variables and, if it is a large one, probes.
func newContainer(name string, port int32, large bool) corev1.Container {
	limits := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("500m"), corev1.ResourceMemory: resource.MustParse("256Mi")}
	c := corev1.Container{
		Name: name, Image: "registry.example.com/shop/" + name + ":v1.42.7", Args: []string{"--port=8080", "--log-level=info"},
		Ports: []corev1.ContainerPort{{Name: name, ContainerPort: port}, {Name: name + "-metrics", ContainerPort: port + 1}},
		Env: []corev1.EnvVar{{Name: "REGION", Value: "eu-central-1"}, {Name: "POD_NAME", ValueFrom: fieldRef("metadata.name")},
			{Name: "FEATURES", Value: "checkout=true,search=canary"}},
		Resources: corev1.ResourceRequirements{Requests: limits, Limits: limits},
	}
	if large {
		c.LivenessProbe, c.ReadinessProbe, c.StartupProbe = newProbe("/livez", name, 10), newProbe("/readyz", name, 5), newProbe("/startupz", name, 1)
		c.Env = append(c.Env, corev1.EnvVar{Name: "POD_NAMESPACE", ValueFrom: fieldRef("metadata.namespace")},
			corev1.EnvVar{Name: "DATABASE_URL", Value: "postgres://shop@database.shop.svc:5432/shop?sslmode=require"})
	}
	return c
}

func fieldRef(path string) *corev1.EnvVarSource {
	return &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}
}

func newProbe(path, port string, period int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromString(port)}},
		PeriodSeconds: period, TimeoutSeconds: 2, FailureThreshold: 5,
	}
}

// runningStatus is what a kubelet says of a pod that runs.
func runningStatus(pod *corev1.Pod) corev1.PodStatus {
	since := metav1.NewTime(pod.CreationTimestamp.Time)
	status := corev1.PodStatus{
		Phase: corev1.PodRunning, QOSClass: pod.Status.QOSClass, HostIP: "10.0.3.17", HostIPs: []corev1.HostIP{{IP: "10.0.3.17"}},
		PodIP: "10.244.7.121", PodIPs: []corev1.PodIP{{IP: "10.244.7.121"}}, StartTime: &since,
	}
	for _, t := range []corev1.PodConditionType{corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.PodReady, corev1.ContainersReady, corev1.PodScheduled} {
		status.Conditions = append(status.Conditions, corev1.PodCondition{Type: t, Status: corev1.ConditionTrue, LastTransitionTime: since})
	}
	started := true
	for i, c := range pod.Spec.Containers {
		status.ContainerStatuses = append(status.ContainerStatuses, corev1.ContainerStatus{
			Name: c.Name, Image: c.Image, Ready: true, Started: &started,
			ImageID:     fmt.Sprintf("%s@sha256:%064x", c.Image, i+1),
			ContainerID: fmt.Sprintf("containerd://%064x", i+7),
			State:       corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: since}},
		})
	}
	return status
}
