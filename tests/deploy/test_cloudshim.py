"""The shim itself: what deploy.md 4.9 says that moto lacks, it has."""

import pytest
from botocore.exceptions import ClientError

A, B = "10.0.0.11", "10.0.0.12"


def health(sky, arn: str) -> dict[tuple[str, int], str]:
    answer = sky.cloud.client("elbv2").describe_target_health(TargetGroupArn=arn)
    return {
        (one["Target"]["Id"], one["Target"]["Port"]): one["TargetHealth"]["State"]
        for one in answer["TargetHealthDescriptions"]
    }


def test_a_target_is_initial_until_one_success_and_sick_after_the_threshold(sky) -> None:
    [one] = sky.estate.build((A,)).ids(A)
    arn = sky.estate.target_group(interval=10)
    sky.estate.register(arn, one)
    assert health(sky, arn) == {(one, 8101): "initial"}
    sky.clock.sleep(10)
    assert health(sky, arn) == {(one, 8101): "healthy"}
    sky.sick.add(one)
    sky.clock.sleep(10)
    assert health(sky, arn) == {(one, 8101): "healthy"}
    sky.clock.sleep(10)
    assert health(sky, arn) == {(one, 8101): "unhealthy"}
    sky.sick.clear()
    sky.clock.sleep(10)
    assert health(sky, arn) == {(one, 8101): "unhealthy"}
    sky.clock.sleep(10)
    assert health(sky, arn) == {(one, 8101): "healthy"}


def test_deregistering_needs_the_port_and_an_unknown_target_is_no_error(sky) -> None:
    [one] = sky.estate.build((A,)).ids(A)
    arn = sky.estate.target_group(port=8101)
    sky.estate.register(arn, one, port=8200)
    elbv2 = sky.cloud.client("elbv2")
    elbv2.deregister_targets(TargetGroupArn=arn, Targets=[{"Id": one}])
    assert health(sky, arn) == {(one, 8200): "initial"}
    elbv2.deregister_targets(TargetGroupArn=arn, Targets=[{"Id": one, "Port": 8200}])
    elbv2.deregister_targets(TargetGroupArn=arn, Targets=[{"Id": "i-0", "Port": 1}])
    assert health(sky, arn) == {(one, 8200): "draining"}


def test_it_can_be_hurried_for_real_hosts(sky) -> None:
    ids = sky.estate.build((A, B)).ids(A, B)
    arn = sky.estate.target_group(interval=1)
    sky.estate.classic(*ids, interval=1)
    sky.estate.register(arn, *ids)
    sky.clock.sleep(1)
    assert set(health(sky, arn).values()) == {"healthy"}
    told = sky.cloud.client("elb").describe_load_balancers()["LoadBalancerDescriptions"][0]
    assert told["HealthCheck"]["Interval"] == 1


def test_instances_that_there_are_can_join_a_scaling_group(sky) -> None:
    ids = sky.estate.build((A, B)).ids(A, B)
    arn = sky.estate.target_group()
    sky.estate.adopt(arn, *ids)
    group = sky.estate.group()
    assert {one["InstanceId"] for one in group["Instances"]} == set(ids)
    assert (group["MinSize"], group["DesiredCapacity"]) == (2, 2)
    with pytest.raises(ClientError, match="minimum size"):
        sky.cloud.client("autoscaling").enter_standby(
            AutoScalingGroupName="auth", InstanceIds=ids[:1], ShouldDecrementDesiredCapacity=True
        )


def test_every_kind_of_fault_reaches_its_caller(sky) -> None:
    elb = sky.cloud.client("elb")
    for kind, code in (("throttle", "Throttling"), ("error", "InternalFailure")):
        sky.faults.add(kind)
        with pytest.raises(ClientError, match=code):
            elb.describe_load_balancers()
    for service, call in (("ec2", "describe_instances"), ("ssm", "describe_parameters")):
        sky.faults.add("denied")
        with pytest.raises(ClientError, match="AccessDenied"):
            getattr(sky.cloud.client(service), call)()
    elb.describe_load_balancers()
