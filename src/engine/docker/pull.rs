//! Pulls: read to the end, since an error may stand in the last line of a stream that began well.
//!
//! Enters: an image reference, credentials. Leaves: done, done with a warning, or why the image is not to be
//! had. bollard is not used here: it sends the credentials in the plain base64 alphabet, which engines since 23
//! do not read.

use super::Docker;
use super::failure::{Call, Trouble};
use super::transport::{Exchange, encoded, from_hyper, refusal};
use super::wire::{PullLine, RegistryAuth};
use crate::engine::secret_values::base64_url;
use crate::engine::{Cause, EngineError, EngineErrorKind, SecretValues};
use crate::model::{ImageReference, SecretName};
use crate::plan::StepOutput;
use http_body_util::BodyExt;
use hyper::header::HeaderValue;
use std::time::Duration;

/// Without a line of progress for so long, a pull has failed.
const SILENCE: Duration = Duration::from_secs(60);
/// Progress lines of the largest image; the layers themselves go elsewhere.
const PROGRESS_BYTES: u64 = 256 << 20;
const LONGEST_LINE: usize = 1 << 20;

impl Docker {
    pub(super) async fn pull(
        &self,
        image: &ImageReference,
        credentials: Option<&SecretName>,
        if_present_is_enough: bool,
        secrets: &SecretValues,
    ) -> Result<StepOutput, EngineError> {
        let outcome = match registry_auth(image, credentials, secrets) {
            Ok(auth) => self
                .read_pull(image, auth)
                .await
                .map_err(|trouble| trouble.masked(secrets))
                .map_err(|trouble| trouble.during(Call::Pull, format!("pull {image}"))),
            Err(error) => Err(error),
        };
        match outcome {
            Ok(()) => Ok(StepOutput::Done),
            Err(error) if error.kind == EngineErrorKind::Unreachable => Err(error),
            Err(error) if if_present_is_enough => match self.inspect_image(image.as_str()).await? {
                Some(_) => Ok(StepOutput::DoneWithWarning(format!(
                    "{error}; the image that is there is used"
                ))),
                None => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    async fn read_pull(
        &self,
        image: &ImageReference,
        auth: Option<HeaderValue>,
    ) -> Result<(), Trouble> {
        // Without a tag the engine would pull them all.
        let tag = image.digest().or(image.tag()).unwrap_or("latest");
        let path =
            format!("/images/create?fromImage={}&tag={}", encoded(image.name()), encoded(tag));
        let mut exchange = Exchange::post(path, None).with_limit(PROGRESS_BYTES);
        if let Some(auth) = auth {
            exchange = exchange.with_registry_auth(auth);
        }
        let silence = |_| Trouble::TimedOut(SILENCE);
        let response = tokio::time::timeout(SILENCE, self.transport.start(exchange))
            .await
            .map_err(silence)??;
        let status = response.status();
        let mut body = response.into_body();
        if !status.is_success() {
            let text = tokio::time::timeout(SILENCE, body.collect()).await.map_err(silence)?;
            return Err(refusal(status, &text.map_err(from_hyper)?.to_bytes()));
        }
        let mut line: Vec<u8> = Vec::new();
        while let Some(frame) =
            tokio::time::timeout(SILENCE, body.frame()).await.map_err(silence)?
        {
            let Ok(data) = frame.map_err(from_hyper)?.into_data() else { continue };
            for piece in data.split_inclusive(|byte| *byte == b'\n') {
                line.extend_from_slice(piece);
                if line.len() > LONGEST_LINE {
                    return Err(Trouble::TooLarge);
                }
                if piece.ends_with(b"\n") {
                    check_line(&line)?;
                    line.clear();
                }
            }
        }
        check_line(&line)
    }
}

fn check_line(line: &[u8]) -> Result<(), Trouble> {
    if line.trim_ascii().is_empty() {
        return Ok(());
    }
    let PullLine { error_detail, error } = super::wire::parse(line)?;
    match error_detail.map(|detail| detail.message).or(error) {
        Some(message) => Err(Trouble::Stream(message)),
        None => Ok(()),
    }
}

/// The header of the registry's credentials.
fn registry_auth(
    image: &ImageReference,
    credentials: Option<&SecretName>,
    secrets: &SecretValues,
) -> Result<Option<HeaderValue>, EngineError> {
    let Some(name) = credentials else { return Ok(None) };
    let fail = |words: String| {
        EngineError::new(EngineErrorKind::NoImage, format!("could not pull {image}: {words}"))
            .because(Cause::RegistryCredentials)
    };
    let (username, password) = secrets.credentials(image, name).map_err(fail)?;
    let serveraddress = image.registry().unwrap_or("https://index.docker.io/v1/");
    let json = serde_json::to_vec(&RegistryAuth { username, password, serveraddress })
        .map_err(|error| fail(error.to_string()))?;
    HeaderValue::from_str(&base64_url(&json)).map(Some).map_err(|error| fail(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_in_the_stream_is_an_error_and_progress_is_none() {
        check_line(b"{\"status\":\"Pulling\",\"progressDetail\":{}}\r\n").unwrap();
        check_line(b"\r\n").unwrap();
        let line = br#"{"errorDetail":{"message":"unknown blob"},"error":"unknown blob"}"#;
        let error = check_line(line).unwrap_err().during(Call::Pull, "pull x:1");
        insta::assert_snapshot!(
            error,
            @"could not pull x:1: the registry's copy is broken (unknown blob)"
        );
    }

    #[test]
    fn missing_credentials_are_told_in_words_and_shown_nowhere() {
        let image = ImageReference::parse("r.example.com/cam:1").unwrap();
        let name = SecretName::parse("puller").unwrap();
        let error = registry_auth(&image, Some(&name), &SecretValues::default()).unwrap_err();
        assert_eq!(error.kind, EngineErrorKind::NoImage);
        let mut secrets = SecretValues::default();
        let credentials = ("hoist".to_owned(), "s3cret".to_owned());
        secrets.insert_credentials("r.example.com", Ok(credentials));
        registry_auth(&image, Some(&name), &secrets).unwrap().unwrap();
    }
}
