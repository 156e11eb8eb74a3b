//! The rights that are enough: an IAM policy for one bucket and one prefix.
//!
//! Pure. What each action is needed for stands in the Amazon S3 user guide, "Required permissions
//! for Amazon S3 API operations"; how names are escaped, in the IAM user guide, "IAM policy
//! elements: Variables and tags".

use crate::remote_path::RemotePrefix;
use crate::server::key::ProbeKey;
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Policy {
    version: &'static str,
    statement: [Statement; 3],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    sid: &'static str,
    effect: &'static str,
    action: &'static [&'static str],
    resource: Vec<String>,
}

impl Statement {
    fn allow(sid: &'static str, action: &'static [&'static str], resource: Vec<String>) -> Self {
        Self { sid, effect: "Allow", action, resource }
    }
}

/// The policy as JSON, some lines without a line end.
///
/// Listing is for the whole bucket: a condition on the prefix would also deny the question whether
/// the bucket is there, and turn every "there is no such object" into "forbidden".
pub(super) fn policy(region: &str, bucket: &str, prefix: &RemotePrefix) -> String {
    let bucket = format!("arn:{}:s3:::{bucket}", partition(region));
    let below = format!("{bucket}/{}", literal(&prefix.to_string()));
    let policy = Policy {
        version: "2012-10-17",
        statement: [
            Statement::allow(
                "Objects",
                &["s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload"],
                vec![format!("{below}*")],
            ),
            Statement::allow(
                "Bucket",
                &["s3:ListBucket", "s3:ListBucketMultipartUploads"],
                vec![bucket.clone()],
            ),
            Statement::allow(
                "Check",
                &["s3:DeleteObject", "s3:GetBucketVersioning", "s3:GetLifecycleConfiguration"],
                vec![format!("{below}{}*", ProbeKey::NAME), bucket],
            ),
        ],
    };
    // Texts alone: there is nothing that could not be written.
    serde_json::to_string_pretty(&policy).unwrap_or_default()
}

/// The part of Amazon's cloud that a region belongs to, as names of resources begin.
fn partition(region: &str) -> &'static str {
    match region {
        _ if region.starts_with("cn-") => "aws-cn",
        _ if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// A text in the name of a resource that stands for itself and is no pattern.
fn literal(text: &str) -> String {
    let mut literal = String::new();
    for character in text.chars() {
        match character {
            '*' | '?' | '$' => literal.extend(["${", character.encode_utf8(&mut [0; 4]), "}"]),
            other => literal.push(other),
        }
    }
    literal
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn of(region: &str, prefix: &str) -> Value {
        let prefix = RemotePrefix::parse(prefix).unwrap();
        let text = policy(region, "mycompany-backups", &prefix);
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn it_is_for_one_bucket_and_one_prefix_and_removes_probes_alone() {
        assert_eq!(
            of("us-east-1", "backups/"),
            json!({
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Sid": "Objects",
                        "Effect": "Allow",
                        "Action": ["s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload"],
                        "Resource": ["arn:aws:s3:::mycompany-backups/backups/*"],
                    },
                    {
                        "Sid": "Bucket",
                        "Effect": "Allow",
                        "Action": ["s3:ListBucket", "s3:ListBucketMultipartUploads"],
                        "Resource": ["arn:aws:s3:::mycompany-backups"],
                    },
                    {
                        "Sid": "Check",
                        "Effect": "Allow",
                        "Action": [
                            "s3:DeleteObject", "s3:GetBucketVersioning", "s3:GetLifecycleConfiguration"
                        ],
                        "Resource": [
                            "arn:aws:s3:::mycompany-backups/backups/.s3up-check-*",
                            "arn:aws:s3:::mycompany-backups",
                        ],
                    },
                ],
            })
        );
    }

    fn check(region: &str, prefix: &str, objects: &str) {
        let policy = of(region, prefix);
        assert_eq!(policy["Statement"][0]["Resource"][0], objects);
        let probes = policy["Statement"][2]["Resource"][0].as_str().unwrap();
        assert_eq!(probes, objects.strip_suffix('*').unwrap().to_owned() + ".s3up-check-*");
    }

    #[test]
    fn a_prefix_stands_for_itself_and_a_region_for_its_partition() {
        check("eu-central-1", "", "arn:aws:s3:::mycompany-backups/*");
        check("cn-north-1", "a/b", "arn:aws-cn:s3:::mycompany-backups/a/b/*");
        check("us-gov-west-1", "a", "arn:aws-us-gov:s3:::mycompany-backups/a/*");
        check("x", "a*b?c${d}", "arn:aws:s3:::mycompany-backups/a${*}b${?}c${$}{d}/*");
    }
}
