//! What helps where an engine is not reached, in one line. How to set things up stands in `docs/control-host.md`.

use crate::engine::Cause;

/// What helps against what stands in the way of an engine; nothing where the error says it itself.
pub fn help_of(cause: Cause) -> Option<&'static str> {
    Some(match cause {
        Cause::NoSocket => "no engine is installed or started there, or its socket lies elsewhere",
        Cause::NothingListens | Cause::NoEngineThere => {
            "the machine is there, its engine is not: `systemctl status docker` on it"
        }
        Cause::NotPermitted => "that user must be in the group of the engine's socket",
        Cause::NameUnknown => "the name in the device's address has no address: DNS, or a slip",
        Cause::NoAnswer => "the machine is off, or a firewall drops what is sent to it",
        Cause::ClientFiles | Cause::KeyMismatch | Cause::ClientExpired => {
            "see `[tls.NAME]` in the control host's hoist.toml"
        }
        Cause::ClientRefused => {
            "the engine's tlscacert must be the authority of the certificate in `[tls.NAME]`"
        }
        Cause::EngineUntrusted => {
            "`ca` of `[tls.NAME]` must be the authority of the engine's certificate"
        }
        Cause::EngineExpired => "renew the engine's certificate on the device",
        Cause::EngineNotYetValid => "compare the clocks of both machines",
        Cause::EngineNameMismatch => {
            "the engine's certificate must name the device's address in subjectAltName"
        }
        Cause::NotTls => "the engine listens without TLS, or it is another port",
        Cause::WantsTls => {
            "write `tls = \"NAME\"` in the device's file, and `[tls.NAME]` in the control host's hoist.toml"
        }
        Cause::SshUnusable => "install openssh-client, and look at `[ssh] config`",
        Cause::HostKeyUnknown => "compare the host's key on the device, then add it to known_hosts",
        Cause::HostKeyChanged => {
            "if the device was set up anew, take the old key out of known_hosts; else somebody is in between"
        }
        Cause::LoginRefused => "put our public key into authorized_keys of that user on the device",
        Cause::ForwardingRefused => {
            "sshd needs AllowStreamLocalForwarding, and the key `port-forwarding` where it is restricted"
        }
        Cause::AnotherControlHost => "stop one of the two: a device has one control host",
        Cause::StoppedByAnother | Cause::RemovedByAnother => {
            "somebody did that on the device, or another control host did; it is tried again"
        }
        Cause::RegistryCredentials
        | Cause::EngineItself
        | Cause::NoSuchImage
        | Cause::RegistryUnreachable
        | Cause::RegistryContentBroken => return None,
    })
}
