package chart

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"kooperd.dev/kooperd/test/daemon"
)

// terminationSignal asks a container to stop.
const terminationSignal = syscall.SIGTERM

// tokenSeconds is what the kubelet asks for.
const tokenSeconds = 3607

// start starts the pod's container: kooperd, which is the entrypoint of its image.
func (r *podRun) start(ctx context.Context) error {
	if err := r.writeVolumes(ctx); err != nil {
		return err
	}
	kubeconfig, err := r.writeKubeconfig(ctx)
	if err != nil {
		return err
	}
	pod := r.current()
	container := &pod.Spec.Containers[0]
	if len(pod.Spec.Containers) != 1 || len(container.Command) > 0 {
		return errors.New("starting it: this kubelet knows one container with the entrypoint of its image")
	}
	env, err := environment(pod, container)
	if err != nil {
		return err
	}
	// A container finds the API server and its token at fixed places, which do not exist here.
	env["KUBECONFIG"] = kubeconfig
	env["PATH"] = programs
	cmd := exec.Command(program(container), r.arguments(container)...)
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	output, err := os.OpenFile(r.outputFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("starting it: %w", err)
	}
	defer func() { _ = output.Close() }() // The process has its own one.
	cmd.Stdout = output
	process, err := daemon.Run(cmd)
	if err != nil {
		return fmt.Errorf("starting it: %w", err)
	}
	r.mu.Lock()
	r.processes = append(r.processes, process)
	r.mu.Unlock()
	return nil
}

// program is the entrypoint of the container's image.
func program(container *corev1.Container) string {
	if container.Image == composersImage {
		return filepath.Join(programs, "composed")
	}
	return binary("kooperd")
}

// outputFile has the standard output of all runs.
func (r *podRun) outputFile() string { return filepath.Join(r.dir, "stdout") }

// arguments are those of the container, with its paths below the pod's folder, and with ports that
// no other process has.
func (r *podRun) arguments(container *corev1.Container) []string {
	var args []string
	serves := false
	for _, arg := range container.Args {
		for _, mount := range container.VolumeMounts {
			arg = strings.ReplaceAll(arg, mount.MountPath, r.volumeDir(mount.Name))
		}
		args = append(args, arg)
		serves = serves || strings.HasPrefix(arg, "--metrics-bind-address=:")
	}
	if serves {
		args = append(args, "--metrics-bind-address=127.0.0.1:0", "--health-probe-bind-address=127.0.0.1:0")
	}
	return args
}

func (r *podRun) volumeDir(name string) string { return filepath.Join(r.dir, "volumes", name) }

// environment makes the variables of the container as the kubelet does.
func environment(pod *corev1.Pod, container *corev1.Container) (map[string]string, error) {
	env := map[string]string{}
	for _, variable := range container.Env {
		value := variable.Value
		for name, known := range env {
			value = strings.ReplaceAll(value, "$("+name+")", known)
		}
		if source := variable.ValueFrom; source != nil {
			var err error
			if value, err = downward(pod, container, source); err != nil {
				return nil, fmt.Errorf("making the variable %s: %w", variable.Name, err)
			}
		}
		env[variable.Name] = value
	}
	return env, nil
}

// downward is the downward API, as far as the chart uses it.
func downward(pod *corev1.Pod, container *corev1.Container, source *corev1.EnvVarSource) (string, error) {
	switch {
	case source.FieldRef != nil:
		fields := map[string]string{
			"metadata.name": pod.Name, "metadata.namespace": pod.Namespace, "metadata.uid": string(pod.UID),
		}
		if value, ok := fields[source.FieldRef.FieldPath]; ok {
			return value, nil
		}
	case source.ResourceFieldRef != nil && source.ResourceFieldRef.Resource == "limits.memory":
		limit, divisor := container.Resources.Limits.Memory().Value(), source.ResourceFieldRef.Divisor.Value()
		return strconv.FormatInt((limit+divisor-1)/divisor, 10), nil
	}
	return "", fmt.Errorf("this kubelet does not know %v", source)
}

// writeVolumes brings the pod's volumes up to date, as the kubelet does while a pod runs.
func (r *podRun) writeVolumes(ctx context.Context) error {
	pod := r.current()
	for _, volume := range pod.Spec.Volumes {
		switch {
		case volume.ConfigMap != nil:
			object, err := shared.Client().CoreV1().ConfigMaps(pod.Namespace).Get(ctx, volume.ConfigMap.Name, metav1.GetOptions{})
			if err != nil {
				if r.process() != nil {
					continue // What is mounted stays.
				}
				return fmt.Errorf("mounting %s: %w", volume.Name, err)
			}
			if err := writeVolume(r.volumeDir(volume.Name), object.ResourceVersion, object.Data); err != nil {
				return fmt.Errorf("mounting %s: %w", volume.Name, err)
			}
		case volume.Secret != nil, volume.Projected != nil, volume.EmptyDir != nil:
			// The token is in the kubeconfig; the chart's own volumes are ConfigMaps.
		default:
			return fmt.Errorf("mounting %s: this kubelet does not know such volumes", volume.Name)
		}
	}
	return nil
}

// writeVolume writes files in the kubelet's layout: a dated folder, a link ..data to it that is
// replaced at once, and a link through that for each file.
func writeVolume(dir, version string, files map[string]string) error {
	dated := "..2026_11_22_" + version
	if now, err := os.Readlink(filepath.Join(dir, "..data")); err == nil && now == dated {
		return nil
	}
	if err := os.MkdirAll(filepath.Join(dir, dated), 0o700); err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, dated, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	if err := os.Symlink(dated, filepath.Join(dir, "..data_tmp")); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
		return err
	}
	present, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	missing := maps.Clone(files)
	for _, entry := range present {
		name := entry.Name()
		if _, ok := files[name]; !ok && !strings.HasPrefix(name, "..") {
			err = errors.Join(err, os.Remove(filepath.Join(dir, name)))
		}
		delete(missing, name)
	}
	for name := range missing {
		err = errors.Join(err, os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)))
	}
	return err
}

// writeKubeconfig writes a kubeconfig with a token of the pod's service account that is bound to
// the pod.
func (r *podRun) writeKubeconfig(ctx context.Context) (string, error) {
	pod := r.current()
	if pod.Spec.AutomountServiceAccountToken == nil || !*pod.Spec.AutomountServiceAccountToken {
		return "", errors.New("starting it: it asks for no token")
	}
	seconds := int64(tokenSeconds)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: &seconds,
		BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
	}}
	answer, err := shared.Client().CoreV1().ServiceAccounts(pod.Namespace).CreateToken(ctx, pod.Spec.ServiceAccountName, request, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("requesting its token: %w", err)
	}
	admin := shared.AdminConfig()
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: admin.Host, CertificateAuthority: admin.CAFile, CertificateAuthorityData: admin.CAData}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: answer.Status.Token}
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u", Namespace: pod.Namespace}
	config.CurrentContext = "x"
	path := filepath.Join(r.dir, fmt.Sprintf("kubeconfig-%d", time.Now().UnixNano()))
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return "", fmt.Errorf("writing its token: %w", err)
	}
	return path, nil
}
